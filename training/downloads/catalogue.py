"""The data sets that can be fetched: their public addresses, and what their files must hold."""

from enum import StrEnum

from training.downloads.contents import PackedFile
from training.downloads.fetch import Published
from training.downloads.seed import DigitPictures


class DataSet(StrEnum):
    """What `training download` can be asked for."""

    MNIST = "mnist"
    SEED = "seed"


_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
)
_QMNIST = ("https://raw.githubusercontent.com/facebookresearch/qmnist/master",)
_JC_PROGJAVA = "jcprogjava/handwritten-digits-dataset-not-in-mnist"


def _packed(folder: str, name: str, mirrors: tuple[str, ...], content: PackedFile) -> Published:
    addresses = tuple(f"{mirror}/{name}" for mirror in mirrors)
    by_hand = (
        f"By hand: fetch {addresses[-1]}, see that its sha256 is {content.sha256}, "
        f"and save it as {{folder}}/{folder}/{name}"
    )
    return Published(f"{folder}/{name}", content, addresses, by_hand)


CATALOGUE: dict[DataSet, tuple[Published, ...]] = {
    DataSet.MNIST: (
        _packed(
            "mnist",
            "train-images-idx3-ubyte.gz",
            _MNIST,
            PackedFile(
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                9_912_422,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                47_040_016,
            ),
        ),
        _packed(
            "mnist",
            "train-labels-idx1-ubyte.gz",
            _MNIST,
            PackedFile(
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                28_881,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                60_008,
            ),
        ),
        _packed(
            "mnist",
            "t10k-images-idx3-ubyte.gz",
            _MNIST,
            PackedFile(
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                1_648_877,
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                7_840_016,
            ),
        ),
        _packed(
            "mnist",
            "t10k-labels-idx1-ubyte.gz",
            _MNIST,
            PackedFile(
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                4_542,
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                10_008,
            ),
        ),
        _packed(
            "mnist/writers",
            "qmnist-train-labels-idx2-int.gz",
            _QMNIST,
            PackedFile(
                "2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f",
                463_024,
                "bb1b6e1ec7b04fd5696f1ed50b5f58f8ef195118edd5c93c81783df9740b8ac5",
                1_920_012,
            ),
        ),
        _packed(
            "mnist/writers",
            "qmnist-test-labels-idx2-int.gz",
            _QMNIST,
            PackedFile(
                "9fbcbe594c3766fdf4f0b15c5165dc0d1e57ac604e01422608bb72c906030d06",
                526_800,
                "92d0ccb8c25f9c6534270fb4be7e1d24a1c6d315edfc8a638bfbd31c70f362dd",
                1_920_012,
            ),
        ),
    ),
    DataSet.SEED: (
        Published(
            file="jc-progjava/digits.npz",
            content=DigitPictures(
                "914eddcd152af77e68fc8652deb4f911abd80fb363ff594e6a8f57031cae1d69", 107_730
            ),
            addresses=(
                f"https://www.kaggle.com/api/v1/datasets/download/{_JC_PROGJAVA}",
                "https://github.com/JC-ProgJava/Handwritten-Digit-Dataset/releases/download/v1.2.0/dataset.zip",
            ),
            by_hand=(
                f"By hand: fetch the zip from https://www.kaggle.com/datasets/{_JC_PROGJAVA} in a browser, "
                "save it as {folder}/jc-progjava/dataset.zip, and run `training download seed` again, which "
                "checks and converts it. The zip is packed anew for each download and has no sha256 of its "
                "own: the 107,730 pictures in it are compared."
            ),
            mirrored=("jc-progjava/digits.npz", "jc-progjava/dataset.zip"),
            saved=("jc-progjava/dataset.zip",),
        ),
    ),
}
