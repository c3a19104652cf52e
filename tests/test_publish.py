"""Outputs are whole or absent, under names that every file system takes; originals are never lost."""

import errno
import hashlib
import os
import stat
import threading
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.errors import Transient, to_write_again
from processor.records import StagedFile
from processor.results.publish import (
    file_name,
    move_original,
    output_name,
    publish,
    remove_leftovers,
    stored_name,
    whole,
    write_whole,
)

HASH = "0123456789abcdef" * 4
SCAN = hashlib.sha256(b"scan").hexdigest()


class TestOutputName:
    def test_is_stem_and_hash(self) -> None:
        assert output_name("sub/page 1.jpg", HASH) == "page 1-0123456789ab"

    def test_tells_two_contents_apart(self) -> None:
        assert output_name("x/a.png", "a" * 64) != output_name("y/a.png", "b" * 64)

    @pytest.mark.parametrize(
        ("file", "stem"),
        [
            ("größe-数.png", "größe-数"),
            ("two\nlines.png", "two_lines"),
            ("tab\tbell\a.png", "tab_bell_"),
            ('a<b>c:d"e|f?g*h\\i.png', "a_b_c_d_e_f_g_h_i"),
            (".hidden.png", "_hidden"),
            ("..png", "_"),
            ("-rf.png", "_rf"),
            ("--help", "_-help"),
            ("~home.png", "_home"),
            (" a.png", "_a"),
            ("con.png", "_con"),
            ("CON.2024.png", "_CON.2024"),
            ("Lpt1.png", "_Lpt1"),
            ("console.png", "console"),
            ("a.tar.gz", "a.tar"),
            ("no suffix", "no suffix"),
            ("\u202egnp.exe.png", "_gnp.exe"),
            (os.fsdecode(b"caf\xe9.png"), "caf_"),
        ],
    )
    def test_makes_names_safe(self, file: str, stem: str) -> None:
        assert output_name(file, HASH) == f"{stem}-0123456789ab"

    @pytest.mark.parametrize("letter", ["a", "ü", "数", "🖋"])
    def test_cuts_long_names_by_bytes_between_letters(self, letter: str) -> None:
        name = output_name(letter * 250 + ".png", HASH)
        assert 150 < len(name.encode()) < 200
        assert set(name.removesuffix("-0123456789ab")) == {letter}

    @given(
        st.text(st.characters(exclude_characters="/\0"), min_size=1).filter(
            lambda file: file not in {".", ".."}
        )
    )
    @example("COM¹.x")
    def test_every_name_can_be_a_file_of_its_own(self, file: str) -> None:
        name = output_name("folder/" + file, HASH)
        assert len(name.encode()) < 200
        assert name.endswith("-0123456789ab")
        assert name == Path(name).name
        assert not any(unicodedata.category(character)[0] == "C" for character in name)
        assert name[0] not in ".-~ "
        assert not set(name) & set('<>:"/\\|?*\n\r\t\0')
        assert name == output_name("elsewhere/" + file, HASH)

    def test_the_longest_can_be_written(self, tmp_path: Path) -> None:
        (tmp_path / (output_name("数" * 200, HASH) + "-p100000.jpg")).write_bytes(b"")


class TestStoredName:
    @pytest.mark.parametrize(
        "raw", [b"plain.png", "größe.png".encode(), b"caf\xe9.png", b"\xff\xfe/\x80", b"\\n"]
    )
    def test_holds_any_bytes_as_text_and_gives_them_back(self, raw: bytes) -> None:
        stored = stored_name(os.fsdecode(raw))
        assert stored.encode()
        assert os.fsencode(file_name(stored)) == raw


class TestWhole:
    def test_replaces_what_was_there(self, tmp_path: Path) -> None:
        target = tmp_path / "new" / "numbers.csv"
        write_whole(target, b"long and old")
        write_whole(target, b"new")
        assert target.read_bytes() == b"new"
        assert list(target.parent.iterdir()) == [target]

    def test_shows_nothing_before_the_end(self, tmp_path: Path) -> None:
        target = tmp_path / "a.csv"
        with whole(target) as stream:
            stream.write(b"half")
            stream.flush()
            assert not target.exists()
            (part,) = tmp_path.iterdir()
            assert part.name.startswith(".")
            assert part.suffix == ".part"
        assert target.read_bytes() == b"half"

    def test_a_block_that_fails_leaves_the_old_file_alone(self, tmp_path: Path) -> None:
        target = tmp_path / "a.csv"
        target.write_bytes(b"old")

        def break_off() -> None:
            with whole(target) as stream:
                stream.write(b"half")
                raise KeyError("a fault between two rows")

        with pytest.raises(KeyError):
            break_off()
        assert list(tmp_path.iterdir()) == [target]
        assert target.read_bytes() == b"old"

    def test_may_be_read_by_whoever_may_read_new_files(self, tmp_path: Path) -> None:
        usual = tmp_path / "usual"
        usual.touch()
        write_whole(tmp_path / "ours", b"")
        assert (tmp_path / "ours").stat().st_mode == usual.stat().st_mode

    def test_a_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real.csv").write_bytes(b"old")
        (tmp_path / "link.csv").symlink_to("real.csv")
        write_whole(tmp_path / "link.csv", b"new")
        assert (tmp_path / "link.csv").is_symlink()
        assert (tmp_path / "real.csv").read_bytes() == b"new"

    def test_a_pipe_is_written_and_stays(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
        reader.start()
        write_whole(pipe, b"through")
        reader.join(10)
        assert got == [b"through"]
        assert stat.S_ISFIFO(pipe.stat().st_mode)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
    def test_a_full_disk_may_pass(self) -> None:
        with pytest.raises(Transient, match=r"/dev/full cannot be written: No space left"):
            write_whole(Path("/dev/full"), b"x" * 100_000)

    def test_the_longest_name_can_be_written(self, tmp_path: Path) -> None:
        write_whole(tmp_path / ("n" * 255), b"x")
        assert [len(path.name) for path in tmp_path.iterdir()] == [255]


class TestPublish:
    def test_gives_the_final_name(self, tmp_path: Path) -> None:
        staged = StagedFile(staged=tmp_path / "staging" / "1", target=tmp_path / "results" / "csv" / "a.csv")
        staged.staged.parent.mkdir()
        (tmp_path / "results").mkdir()
        staged.staged.write_bytes(b"rows")
        publish(staged)
        assert staged.target.read_bytes() == b"rows"
        assert not staged.staged.exists()

    def test_a_replay_overwrites_itself(self, tmp_path: Path) -> None:
        staged = StagedFile(staged=tmp_path / "1", target=tmp_path / "a.csv")
        for rows in (b"rows", b"rows again"):
            staged.staged.write_bytes(rows)
            publish(staged)
        assert staged.target.read_bytes() == b"rows again"

    def test_results_that_are_away_do_not_come_up_anew(self, tmp_path: Path) -> None:
        staged = StagedFile(staged=tmp_path / "1", target=tmp_path / "results" / "csv" / "a.csv")
        staged.staged.write_bytes(b"rows")
        with pytest.raises(Transient, match=r"csv cannot be written"):
            publish(staged)
        assert not (tmp_path / "results").exists()
        assert staged.staged.exists()

    def test_a_staged_file_that_is_gone_is_named(self, tmp_path: Path) -> None:
        staged = StagedFile(staged=tmp_path / "gone", target=tmp_path / "a.csv")
        with pytest.raises(Transient, match=r"a\.csv cannot be written: No such file.*gone"):
            publish(staged)
        assert not staged.target.exists()


@pytest.fixture
def other_disk(tmp_path: Path) -> Path:
    """A folder on another file system, where this machine has one to write to."""
    for folder in (*map(Path, ("/dev/shm", "/run", "/var/tmp")), Path.home()):
        if os.access(folder, os.W_OK) and folder.stat().st_dev != tmp_path.stat().st_dev:
            return folder
    pytest.skip("all folders are on one file system")


class TestMoveOriginal:
    def test_leaves_the_inbox_and_arrives(self, tmp_path: Path) -> None:
        source, target = tmp_path / "inbox" / "a.png", tmp_path / "processed" / "a-0123.png"
        source.parent.mkdir()
        source.write_bytes(b"scan")
        assert move_original(source, target, sha256=SCAN)
        assert target.read_bytes() == b"scan"
        assert not source.exists()

    def test_a_move_done_before_is_no_fault(self, tmp_path: Path) -> None:
        (tmp_path / "target").write_bytes(b"scan")
        move_original(tmp_path / "gone", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b"scan"

    def test_what_came_under_its_name_since_stays(self, tmp_path: Path) -> None:
        source, target = tmp_path / "a.png", tmp_path / "processed" / "a-0123.png"
        source.write_bytes(b"another scan")
        assert not move_original(source, target, sha256=SCAN)
        assert source.read_bytes() == b"another scan"
        assert not target.exists()

    @pytest.mark.timeout(20)
    def test_a_pipe_that_took_its_place_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.png")
        assert not move_original(tmp_path / "a.png", tmp_path / "b.png", sha256=SCAN)
        assert (tmp_path / "a.png").is_fifo()

    @pytest.mark.parametrize("sha256", [None, SCAN])
    def test_a_second_name_of_what_is_kept_already_goes(self, tmp_path: Path, sha256: str | None) -> None:
        source, target = tmp_path / "a.png", tmp_path / "a-0123.png"
        target.write_bytes(b"scan")
        source.hardlink_to(target)
        assert move_original(source, target, sha256=sha256)
        assert not source.exists()
        assert target.read_bytes() == b"scan"

    def test_another_link_to_the_scan_stays(self, tmp_path: Path) -> None:
        source, target = tmp_path / "a.png", tmp_path / "a-0123.png"
        source.write_bytes(b"scan")
        (tmp_path / "mine.png").hardlink_to(source)
        assert move_original(source, target, sha256=SCAN)
        assert (tmp_path / "mine.png").read_bytes() == target.read_bytes() == b"scan"

    def test_a_scan_that_is_nowhere_is_a_fault(self, tmp_path: Path) -> None:
        with pytest.raises(Transient, match="gone"):
            move_original(tmp_path / "gone", tmp_path / "target")

    def test_a_dangling_link_is_moved_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "link.png").symlink_to("nowhere")
        (tmp_path / "target.png").write_bytes(b"of an earlier try")
        move_original(tmp_path / "link.png", tmp_path / "target.png")
        assert (tmp_path / "target.png").readlink() == Path("nowhere")
        assert not os.path.lexists(tmp_path / "link.png")

    def test_to_another_disk_it_is_copied_whole_with_its_times(
        self, tmp_path: Path, other_disk: Path
    ) -> None:
        source = other_disk / f"digit-inbox-{os.getpid()}.png"
        source.write_bytes(b"scan" * 1_000_000)
        os.utime(source, (1_000_000, 1_000_000))
        with pytest.raises(OSError) as caught:
            source.rename(tmp_path / "renamed.png")
        assert caught.value.errno == errno.EXDEV
        sha256 = hashlib.sha256(b"scan" * 1_000_000).hexdigest()
        assert move_original(source, tmp_path / "processed" / "a.png", sha256=sha256)
        assert (tmp_path / "processed" / "a.png").read_bytes() == b"scan" * 1_000_000
        assert (tmp_path / "processed" / "a.png").stat().st_mtime == 1_000_000
        assert [p.name for p in (tmp_path / "processed").iterdir()] == ["a.png"]
        assert not source.exists()

    def test_a_target_that_cannot_be_leaves_the_scan_where_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"scan")
        (tmp_path / "processed").touch()
        with pytest.raises(Transient):
            move_original(tmp_path / "a.png", tmp_path / "processed" / "a.png")
        assert (tmp_path / "a.png").read_bytes() == b"scan"


def test_what_a_killed_program_left_long_ago_is_removed(tmp_path: Path) -> None:
    old, young, foreign = (tmp_path / name for name in (f".{'0' * 16}.part", f".{'1' * 16}.part", ".my.part"))
    for path in (old, young, foreign):
        path.touch()
    for path in (old, foreign):
        os.utime(path, (1_000_000, 1_000_000))
    remove_leftovers(tmp_path, older_than_seconds=3600)
    remove_leftovers(tmp_path / "nowhere", older_than_seconds=3600)
    assert sorted(tmp_path.iterdir()) == sorted([young, foreign])


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Make room"),
        (errno.EDQUOT, "Make room"),
        (errno.EROFS, "permissions"),
        (errno.EACCES, "permissions"),
        (errno.EIO, "Look at the disk"),
        (errno.ESTALE, "share"),
    ],
)
def test_the_remedy_is_that_of_the_fault(number: int, remedy: str) -> None:
    assert remedy in to_write_again(OSError(number, os.strerror(number)))


def test_an_encoder_that_names_no_fault_met_a_full_disk() -> None:
    assert to_write_again(OSError("encoder error -2 when writing image file")) == "Make room."
