"""Fetching data sets: from good servers, from bad ones, and from none."""

import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processor.errors import BadSettings, Exit
from tests import bad_server
from tests.bad_server import Answer, BadServer
from training.cli import main
from training.downloads.catalogue import CATALOGUE, DataSet
from training.downloads.contents import PackedFile, digest, unpacked
from training.downloads.faults import NotFetched, Refused, Unwritable, WrongContent
from training.downloads.fetch import Fetched, Fetcher, Published
from training.downloads.parts import Origin, Part
from training.downloads.transfer import Patience, Redirects

TRAINING = Path(sys.executable).with_name("training")
LABELS = Path(__file__).parent / "data" / "mnist-t10k-labels.gz"
"""The labels of MNIST's test part, packed anew: another sha256 than published, the same content."""
LABELS_FILE = "mnist/t10k-labels-idx1-ubyte.gz"

CONTENT = np.random.default_rng(1).integers(0, 60, 40_000, np.uint8).tobytes()
FILE = gzip.compress(CONTENT, mtime=0)
HALF = len(FILE) // 2
OTHER = gzip.compress(CONTENT[::-1], mtime=0)
PACKED = PackedFile(digest(FILE), len(FILE), digest(CONTENT), len(CONTENT))
IMPATIENT = Patience(silence_seconds=10, window_seconds=0.2, window_bytes=200, attempts=4, pause_seconds=0)
HURRIED = replace(IMPATIENT, silence_seconds=0.5, attempts=1)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[BadServer]:
    with bad_server.serving() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def published(*addresses: str) -> Published:
    return Published("set/file.gz", PACKED, addresses, "By hand: save it as {folder}/set/file.gz")


def fetch(folder: Path, *addresses: str, attempts: int = 4, force: bool = False) -> Fetched:
    return Fetcher(folder, force, replace(IMPATIENT, attempts=attempts)).fetch(published(*addresses))


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def closed_port() -> str:
    with BadServer() as server:
        return server.url


# --- as it should be ----------------------------------------------------------------------------------


@pytest.mark.parametrize("serve", [bad_server.ranged, bad_server.whole, bad_server.unmeasured])
def test_a_file_comes_whole_and_nothing_else_stays(
    server: BadServer, folder: Path, serve: Callable[[bytes], Answer]
) -> None:
    address = server.give("/file", serve(FILE))
    fetched = fetch(folder, address)
    assert fetched == Fetched(folder / "set" / "file.gz", "fetched", len(FILE), address)
    assert fetched.path.read_bytes() == FILE
    assert files(folder) == {"set/file.gz"}
    agent = server.asked[0][1]["User-Agent"]
    assert agent.startswith("digit-inbox/")


def test_progress_is_told_in_bytes_up_to_the_whole(server: BadServer, folder: Path) -> None:
    heard: list[tuple[int, int | None]] = []
    address = server.give("/file", bad_server.ranged(FILE))
    Fetcher(folder, progress=lambda *heard_now: heard.append(heard_now)).fetch(published(address))
    assert heard[0] == (0, len(FILE))
    assert heard[-1] == (len(FILE), len(FILE))
    assert heard == sorted(heard, key=lambda pair: pair[0])


def test_a_file_that_is_there_is_not_asked_for(server: BadServer, folder: Path) -> None:
    address = server.give("/file", bad_server.ranged(FILE))
    fetch(folder, address)
    again = fetch(folder, address)
    assert again == Fetched(folder / "set" / "file.gz", "present", len(FILE))
    assert len(server.asked) == 1


def test_the_same_content_packed_by_another_program_is_kept_as_it_is(folder: Path) -> None:
    otherwise = gzip.compress(CONTENT, compresslevel=1)
    assert otherwise != FILE
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "file.gz").write_bytes(otherwise)
    assert fetch(folder, closed_port()).state == "present"
    assert (folder / "set" / "file.gz").read_bytes() == otherwise


# --- broken off, and continued ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        bad_server.cut(FILE, HALF, ETag='"1"'),
        bad_server.cut(FILE, HALF, reset=True, ETag='"1"'),
        bad_server.cut_in_chunks(FILE, HALF),
    ],
    ids=["ended", "reset", "chunked"],
)
def test_a_broken_transfer_is_continued_where_it_broke_off(
    server: BadServer, folder: Path, broken: Answer
) -> None:
    address = server.give("/file", broken, bad_server.ranged(FILE))
    assert fetch(folder, address).path.read_bytes() == FILE
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert server.asked[1][1]["If-Range"] == '"1"'


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(FILE) - 1), max_size=3))
def test_wherever_it_breaks_off_the_file_is_the_same(
    server: BadServer, tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    def answer(request: bad_server.Request) -> None:
        end = cuts_left.pop() if cuts_left else len(FILE)
        start = request.start
        request.head(
            206 if start else 200,
            Content_Length=len(FILE) - start,
            ETag='"1"',
            **({"Content_Range": f"bytes {start}-{len(FILE) - 1}/{len(FILE)}"} if start else {}),
        )
        request.wfile.write(FILE[start : max(start, end)])

    cuts_left = list(cuts)
    folder = tmp_path_factory.mktemp("cuts")
    fetch(folder, server.give("/file", answer))
    assert (folder / "set" / "file.gz").read_bytes() == FILE
    assert files(folder) == {"set/file.gz"}


def test_the_next_run_goes_on_from_what_this_one_leaves(server: BadServer, folder: Path) -> None:
    cut, gone = bad_server.cut(FILE, HALF, ETag='"1"'), bad_server.status(403)
    address = server.give("/file", cut, gone, bad_server.ranged(FILE))
    heard: list[str] = []
    with pytest.raises(NotFetched, match="answers 403"):
        Fetcher(folder, patience=IMPATIENT, say=heard.append).fetch(published(address))
    assert heard == [f"{address} broke off after {HALF:,} of {len(FILE):,} bytes; asking again."]
    assert files(folder) == {"set/file.gz.part", "set/file.gz.part.json"}
    assert fetch(folder, address).path.read_bytes() == FILE
    assert server.ranges == [None, f"bytes={HALF}-", f"bytes={HALF}-"]


def test_a_line_that_breaks_all_the_time_gets_there_as_long_as_it_gets_further(
    server: BadServer, folder: Path
) -> None:
    def answer(request: bad_server.Request) -> None:
        start = request.start
        part = {"Content_Range": f"bytes {start}-{len(FILE) - 1}/{len(FILE)}"} if start else {}
        request.head(206 if start else 200, Content_Length=len(FILE) - start, ETag='"1"', **part)
        request.wfile.write(FILE[start : start + 2000])

    assert fetch(folder, server.give("/file", answer), attempts=2).path.read_bytes() == FILE
    assert len(server.asked) == -(-len(FILE) // 2000) > 10


def test_a_redirect_does_not_lose_the_place(server: BadServer, folder: Path) -> None:
    """As Kaggle does: every request is sent on to a storage that knows the file."""
    stored = server.give("/stored", bad_server.cut(FILE, HALF, ETag='"1"'), bad_server.ranged(FILE))
    asked = server.give("/asked", bad_server.redirect(stored))
    assert fetch(folder, asked).path.read_bytes() == FILE
    assert server.asked[-1][0] == "/stored"
    assert server.ranges[-1] == f"bytes={HALF}-"


def test_a_part_from_elsewhere_or_with_a_torn_note_is_not_continued(server: BadServer, folder: Path) -> None:
    address = server.give("/file", bad_server.ranged(FILE))
    part = Part(folder / "set" / "file.gz")
    for note in (
        json.dumps({"address": "http://elsewhere/file", "etag": '"1"'}),
        "{",
        "[1]",
        '{"address": 3}',
    ):
        part.begin(Origin(address))
        part.file.write_bytes(b"\0" * HALF)
        part.file.with_name("file.gz.part.json").write_text(note)
        assert fetch(folder, address, force=True).path.read_bytes() == FILE
        (folder / "set" / "file.gz").unlink()
    assert server.ranges == [None] * 4


def test_a_weak_tag_is_no_condition_and_a_date_is() -> None:
    assert Origin("a", etag='"strong"', modified="Mon").condition == '"strong"'
    assert Origin("a", etag='W/"weak"', modified="Mon").condition == "Mon"
    assert Origin("a", etag='W/"weak"').condition == ""


@pytest.mark.parametrize(
    "continued",
    [
        bad_server.whole(FILE),
        bad_server.misplaced(FILE, f"bytes {HALF + 10}-{len(FILE) - 1}/{len(FILE)}", HALF + 10),
        bad_server.misplaced(FILE, f"bytes 0-{len(FILE) - 1}/{len(FILE)}", 0),
        bad_server.misplaced(FILE, None, HALF),
        bad_server.misplaced(FILE, "bytes lots", HALF),
        bad_server.misplaced(FILE, f"bytes {HALF}-{len(FILE) - 1}/{len(FILE)}", HALF + 10),
        bad_server.misplaced(FILE, f"bytes {HALF}-{len(FILE) - 1}/{len(FILE)}", HALF - 10),
        bad_server.misplaced(FILE, f"bytes {HALF}-{len(FILE) - 1}/{len(FILE)}", HALF, etag='"2"'),
        bad_server.ranged(FILE, etag='"2"'),
        bad_server.status(416),
        bad_server.gibberish,
    ],
    ids=[
        "range ignored",
        "later than asked",
        "from the beginning",
        "unsaid",
        "nonsense",
        "says one range, sends a later",
        "says one range, sends an earlier",
        "another version",
        "changed, and honest",
        "nothing left",
        "no web server",
    ],
)
def test_an_answer_that_does_not_continue_the_part_never_gets_into_the_file(
    server: BadServer, folder: Path, continued: Answer
) -> None:
    first = bad_server.cut(FILE, HALF, ETag='"1"')
    address = server.give("/file", first, continued, bad_server.ranged(FILE))
    assert fetch(folder, address).path.read_bytes() == FILE
    assert server.ranges[1] == f"bytes={HALF}-"


def test_a_file_that_changed_between_two_attempts_is_fetched_anew(server: BadServer, folder: Path) -> None:
    honest = server.give(
        "/honest", bad_server.cut(OTHER, HALF, ETag='"1"'), bad_server.ranged(FILE, etag='"2"')
    )
    assert fetch(folder / "a", honest).path.read_bytes() == FILE
    # No tag and no date: only the sha256 of the whole can tell.
    silent = server.give("/silent", bad_server.cut(OTHER, HALF), bad_server.ranged(FILE, etag=""))
    assert fetch(folder / "b", silent).path.read_bytes() == FILE
    assert server.ranges[2:] == [None, f"bytes={HALF}-", None]


# --- lies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [len(FILE) + 1000, "many", -1, ""])
def test_a_file_that_is_all_there_is_taken_whatever_length_was_announced(
    server: BadServer, folder: Path, length: object
) -> None:
    address = server.give("/file", bad_server.announced(FILE, length))
    assert fetch(folder, address).path.read_bytes() == FILE
    assert len(server.asked) == 1


def test_a_length_that_is_too_small_gives_no_file(server: BadServer, folder: Path) -> None:
    short, good = bad_server.announced(FILE, HALF), bad_server.whole(FILE)
    address = server.give("/short", short)
    with pytest.raises(NotFetched, match=rf"it has {HALF:,} bytes .*published file has {len(FILE):,} bytes"):
        fetch(folder, address)
    assert files(folder) == set()
    assert fetch(folder, address, server.give("/good", good)).path.read_bytes() == FILE


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            bad_server.whole(OTHER),
            f"sha256 {hashlib.sha256(OTHER).hexdigest()}.*and the sha256 {PACKED.sha256}",
        ),
        (bad_server.whole(b""), "it is empty"),
        (bad_server.whole(FILE[:-1]), "has another file"),
        (bad_server.page(), "answers with a web page"),
        (bad_server.page("application/octet-stream"), "it is a web page of"),
        (bad_server.whole(FILE, Content_Encoding="br"), "packed as 'br'"),
        (bad_server.announced(b"", 10**12), "announces 1,000,000,000,000 bytes"),
        (bad_server.endless, "and goes on"),
        (bad_server.status(204), "answers 204"),
        (bad_server.status(206), "sends 'a part'"),
        (bad_server.gibberish, "broke off"),
    ],
)
def test_what_is_not_the_file_is_named_and_leaves_nothing(
    server: BadServer, folder: Path, answer: Answer, said: str
) -> None:
    with pytest.raises(NotFetched, match=said):
        fetch(folder, server.give("/file", answer))
    assert files(folder) == set()


@pytest.mark.parametrize(
    "answer",
    [
        bad_server.packed(FILE),
        bad_server.packed(FILE, "identity"),
        bad_server.whole(FILE, Content_Encoding="gzip"),
    ],
    ids=["packed on the way", "and not said so", "said so of the file itself"],
)
def test_packing_on_the_way_is_undone(server: BadServer, folder: Path, answer: Answer) -> None:
    assert fetch(folder, server.give("/file", answer)).path.read_bytes() == FILE


def test_a_sign_in_page_does_not_cost_what_has_arrived(server: BadServer, folder: Path) -> None:
    cut, hotel = bad_server.cut(FILE, HALF, ETag='"1"'), bad_server.page()
    address = server.give("/file", cut, hotel, bad_server.ranged(FILE))
    with pytest.raises(NotFetched, match="web page"):
        fetch(folder, address)
    assert (folder / "set" / "file.gz.part").stat().st_size == HALF
    assert fetch(folder, address).path.read_bytes() == FILE
    assert server.ranges[-1] == f"bytes={HALF}-"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.builds(gzip.compress, st.binary(max_size=200)))
def test_no_other_bytes_are_ever_accepted(data: bytes) -> None:
    with pytest.raises(WrongContent):
        PACKED.accept(data)


def test_a_small_file_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert unpacked(bomb, 1000) is None
    with pytest.raises(WrongContent):
        PACKED.accept(bomb)


# --- servers that do not give it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "times"), [(401, 1), (403, 1), (404, 1), (410, 1), (429, 4), (500, 4), (503, 4)]
)
def test_a_refusal_is_final_and_a_passing_fault_is_asked_again(
    server: BadServer, folder: Path, code: int, times: int
) -> None:
    with pytest.raises(NotFetched, match=f"answers {code}"):
        fetch(folder, server.give("/file", bad_server.status(code)))
    assert len(server.asked) == times
    assert files(folder) == set()


def test_a_server_that_recovers_gives_the_file(server: BadServer, folder: Path) -> None:
    down, up = bad_server.status(503), bad_server.ranged(FILE)
    assert fetch(folder, server.give("/file", down, down, up)).path.read_bytes() == FILE


def test_the_mirrors_are_asked_in_turn_and_each_failure_is_told(server: BadServer, folder: Path) -> None:
    wrong = server.give("/wrong", bad_server.whole(OTHER))
    good = server.give("/good", bad_server.whole(FILE))
    heard: list[str] = []
    fetcher = Fetcher(folder, patience=IMPATIENT, say=heard.append)
    assert fetcher.fetch(published(server.url + "/none", wrong, good)).address == good
    assert [path for path, _ in server.asked] == ["/none", "/wrong", "/good"]
    assert "/none answers 404" in heard[0]
    assert "/wrong has another file" in heard[1]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (bad_server.stalling(FILE, HALF, threading.Event()), "was silent for 0.5 seconds"),
        (bad_server.dripping(FILE, 0.02), r"sent \d+ bytes in 0\.\d seconds"),
    ],
    ids=["silent", "dripping"],
)
def test_a_server_that_keeps_one_waiting_is_given_up(
    server: BadServer, folder: Path, answer: Answer, said: str
) -> None:
    with pytest.raises(NotFetched, match=said):
        Fetcher(folder, patience=HURRIED).fetch(published(server.give("/file", answer)))
    assert (folder / "set" / "file.gz.part").stat().st_size > 0


def test_redirects_are_followed_and_lead_nowhere_else(server: BadServer, folder: Path) -> None:
    good = server.give("/good", bad_server.ranged(FILE))
    assert fetch(folder / "a", server.give("/moved", bad_server.redirect(good))).path.read_bytes() == FILE
    dead = closed_port()
    for target, said in (
        (f"{dead}/file", "no connection to 127.0.0.1"),
        (f"{server.url}/round", "answers 302"),
        ("file:///etc/passwd", "answers 302 .* is not allowed"),
        ("ftp://127.0.0.1/file", "which is not followed"),
        ("http://127.0.0.1:port/file", "."),
    ):
        address = server.give("/round", bad_server.redirect(target))
        with pytest.raises(NotFetched, match=said):
            fetch(folder / "b", address)
    assert not (folder / "b").exists()


def test_a_redirect_never_leaves_https() -> None:
    asked = Request("https://example.org/file")
    for target, allowed in (("https://example.com/file", True), ("http://example.org/file", False)):
        arguments: tuple[Any, ...] = (asked, io.BytesIO(), 302, "Found", {}, target)
        if allowed:
            assert Redirects().redirect_request(*arguments) is not None
        else:
            with pytest.raises(Refused, match="not followed"):
                Redirects().redirect_request(*arguments)


def test_without_a_network_it_says_so_and_what_to_do_by_hand(folder: Path) -> None:
    heard: list[str] = []
    fetcher = Fetcher(folder, patience=IMPATIENT, say=heard.append)
    file = published(f"{closed_port()}/a")
    for _ in range(2):
        with pytest.raises(NotFetched) as failed:
            fetcher.fetch(file)
        assert "set/file.gz was not fetched:\n  there is no connection to 127.0.0.1 (" in failed.value.message
        assert failed.value.remedy.startswith("No server can be reached: is there a network")
        assert f"save it as {folder}/set/file.gz" in failed.value.remedy
    # The second file does not wait for a host that was not there for the first.
    assert len(heard) == 1
    assert not folder.exists()


def test_a_server_that_does_not_speak_https_is_not_asked_in_the_clear(
    server: BadServer, folder: Path
) -> None:
    server.give("/file", bad_server.ranged(FILE))
    with pytest.raises(NotFetched, match=r"there is no connection to 127\.0\.0\.1"):
        fetch(folder, f"{server.url.replace('http', 'https')}/file")
    assert server.asked == []


def test_a_proxy_of_the_environment_is_used_and_named(
    server: BadServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "http://data.example/file"
    server.give(address, bad_server.ranged(FILE))
    monkeypatch.setenv("http_proxy", server.url)
    assert fetch(folder, address).path.read_bytes() == FILE
    monkeypatch.setenv("http_proxy", closed_port().replace("http://", "http://user:secret@"))
    with pytest.raises(NotFetched, match=r"data\.example by way of the proxy 127\.0\.0\.1") as failed:
        fetch(folder / "b", address)
    assert "secret" not in str(failed.value)


# --- what is in the way -------------------------------------------------------------------------------


def test_another_file_in_its_place_stays_unless_forced(server: BadServer, folder: Path) -> None:
    target = folder / "set" / "file.gz"
    target.parent.mkdir(parents=True)
    target.write_bytes(OTHER)
    address = server.give("/file", bad_server.ranged(FILE))
    with pytest.raises(NotFetched, match=rf"{target} is there, but it has .* sha256") as refused:
        fetch(folder, address)
    assert "--force" in refused.value.remedy
    assert (target.read_bytes(), server.asked) == (OTHER, [])
    with pytest.raises(NotFetched):
        fetch(folder, server.give("/none", bad_server.status(404)), force=True)
    assert target.read_bytes() == OTHER
    fetch(folder, address, force=True)
    assert target.read_bytes() == FILE


def test_a_folder_in_its_place_is_named(folder: Path) -> None:
    (folder / "set" / "file.gz").mkdir(parents=True)
    with pytest.raises(NotFetched, match="cannot be read: Is a directory"):
        fetch(folder, closed_port(), force=True)


def test_a_file_in_the_way_of_the_folder_is_named(server: BadServer, folder: Path) -> None:
    folder.mkdir()
    (folder / "set").write_text("")
    with pytest.raises(BadSettings, match=r"set.* cannot be written"):
        fetch(folder, server.give("/file", bad_server.ranged(FILE)))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_is_named(server: BadServer, folder: Path) -> None:
    folder.mkdir(mode=0o500)
    with pytest.raises(BadSettings, match="Permission denied"):
        fetch(folder, server.give("/file", bad_server.ranged(FILE)))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_stops_everything_and_says_so(server: BadServer, folder: Path) -> None:
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "file.gz.part").symlink_to("/dev/full")
    with pytest.raises(Unwritable, match=r"file\.gz\.part cannot be written: No space left on device"):
        fetch(folder, server.give("/file", bad_server.ranged(FILE)))
    assert not (folder / "set" / "file.gz").exists()


# --- the command --------------------------------------------------------------------------------------


def download(home: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [str(TRAINING), "download", *map(str, arguments)]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_fetches_what_a_mirror_has_and_tells_the_rest(server: BadServer, home: Path) -> None:
    server.give(f"/copy/{LABELS_FILE}", bad_server.ranged(LABELS.read_bytes()))
    done = download(home, "mnist", "--from", f"{server.url}/copy/", "--data", "d")
    assert done.returncode == Exit.SOME_FAILED
    assert done.stdout == f"d/{LABELS_FILE}\n"
    assert files(home / "d") == {LABELS_FILE}
    assert "mnist/train-images-idx3-ubyte.gz was not fetched" in done.stderr
    assert "answers 404" in done.stderr
    assert "its sha256 is 440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609" in done.stderr
    assert "Traceback" not in done.stderr


def test_quiet_leaves_the_faults_and_the_data(server: BadServer, home: Path) -> None:
    server.give(f"/{LABELS_FILE}", bad_server.ranged(LABELS.read_bytes()))
    done = download(home, "mnist", "--quiet", "--from", server.url)
    assert done.stdout.splitlines() == [str(home / "data" / LABELS_FILE)]
    assert "published one" not in done.stderr
    assert done.stderr.count("was not fetched") == 5
    assert done.stderr.count("By hand:") == 5


def test_a_set_that_is_named_twice_is_fetched_once(server: BadServer, home: Path) -> None:
    download(home, "seed", "seed", "--from", server.url)
    assert [path for path, _ in server.asked] == ["/jc-progjava/digits.npz", "/jc-progjava/dataset.zip"]


def test_without_a_network_the_command_says_it_for_every_file(home: Path) -> None:
    done = download(home, "--from", closed_port(), "--json")
    rows = json.loads(done.stdout)
    assert done.returncode == Exit.SOME_FAILED
    assert {row["state"] for row in rows} == {"failed"}
    assert all(row["remedy"].startswith("No server can be reached") for row in rows)
    assert not (home / "data").exists()
    assert "Traceback" not in done.stderr


def test_the_command_prints_one_document(server: BadServer, home: Path) -> None:
    (home / "data" / "mnist").mkdir(parents=True)
    (home / "data" / LABELS_FILE).write_bytes(LABELS.read_bytes())
    done = download(home, "--json", "--from", server.url)
    rows = {row["file"]: row for row in json.loads(done.stdout)}
    assert set(rows) == {published.file for files in CATALOGUE.values() for published in files}
    assert rows[LABELS_FILE]["state"] == "present"
    assert rows["jc-progjava/digits.npz"]["state"] == "failed"
    assert "dataset.zip" in rows["jc-progjava/digits.npz"]["remedy"]
    assert done.returncode == Exit.SOME_FAILED


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_command_goes_on_where_it_was(
    server: BadServer, home: Path, ended_by: signal.Signals
) -> None:
    labels, until = LABELS.read_bytes(), threading.Event()
    stalled = bad_server.stalling(labels, 2000, until)
    server.give(f"/{LABELS_FILE}", stalled, bad_server.ranged(labels))
    part = home / "data" / f"{LABELS_FILE}.part"
    command = [str(TRAINING), "download", "mnist", "--from", server.url]
    with subprocess.Popen(command, cwd=home, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(ended_by)
        _, said = running.communicate(timeout=30)
    until.set()
    if ended_by == signal.SIGINT:
        assert running.returncode == Exit.INTERRUPTED
        assert "what has arrived is kept" in said
    assert part.stat().st_size == 2000
    assert not (home / "data" / LABELS_FILE).exists()
    assert download(home, "mnist", "--from", server.url).stdout == f"{home / 'data' / LABELS_FILE}\n"
    assert (home / "data" / LABELS_FILE).read_bytes() == labels
    assert "bytes=2000-" in server.ranges


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["emnist"], "There is no data set 'emnist' to fetch. There are: mnist, seed."),
        (["--from", "ftp://host/folder"], "--from 'ftp://host/folder' is no address"),
        (["--from", "host/folder"], "is no address"),
        (["--from", "http://"], "is no address"),
        (["--from", "http://host:port/"], "is no address"),
        (["--from", "http://me:secret@host/"], "is no address"),
        (["--from", "http://host/?a=b"], "is no address"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_wrong_command_line_is_refused(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["training", "download", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == Exit.BAD_COMMAND
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_takes_no_file_is_refused_settings(server: BadServer, home: Path) -> None:
    server.give(f"/{LABELS_FILE}", bad_server.ranged(LABELS.read_bytes()))
    (home / "file").write_text("")
    done = download(home, "mnist", "--from", server.url, "--data", "file")
    assert done.returncode == Exit.BAD_SETTINGS
    assert "Name another folder with --data" in done.stderr


# --- the catalogue ------------------------------------------------------------------------------------


def test_everything_in_the_catalogue_is_asked_for_by_https_and_can_be_fetched_by_hand() -> None:
    for file in (file for files in CATALOGUE.values() for file in files):
        assert file.addresses
        assert all(address.startswith("https://") for address in file.addresses)
        by_hand = file.by_hand.format(folder="there")
        assert "https://" in by_hand
        assert "there/" in by_hand
        assert not Path(file.file).is_absolute()
        assert file.from_mirror("http://host/d/").addresses[0] == f"http://host/d/{file.file}"


def test_the_catalogue_knows_the_labels_of_mnist_however_they_are_packed() -> None:
    files = {file.file: file.content for file in CATALOGUE[DataSet.MNIST]}
    packed = LABELS.read_bytes()
    assert files[LABELS_FILE].accept(packed) == packed
    anew = gzip.compress(gzip.decompress(packed), 1)
    assert files[LABELS_FILE].accept(anew) == anew
    with pytest.raises(WrongContent):
        files["mnist/train-labels-idx1-ubyte.gz"].accept(packed)
