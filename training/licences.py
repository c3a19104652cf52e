"""Under which terms each of the shipped sources may be used, as it stands in a manifest."""

_MNIST = "MNIST, CC BY-SA 3.0; writers from QMNIST, BSD"
_CHEQUES = "ORAND-CAR-A (ICFHR 2014), research use; boxes from a public MIT repository"
_OWN = "drawn by this project, MIT"

LICENCES: dict[str, str] = {
    "mnist-train": _MNIST,
    "proposals": _MNIST,
    "pieces": _MNIST,
    "runs": _MNIST,
    "crowded": _MNIST,
    "cheque-digits": _CHEQUES,
    "cheque-boxes": _CHEQUES,
    "cheque-proposals": _CHEQUES,
    "cheque-strips": _CHEQUES,
    "jc-progjava": "JC-ProgJava, Handwritten Digits Dataset (not in MNIST), CC BY-SA 4.0",
    "omniglot": "Omniglot, MIT",
    "printed-digits": "rendered in DejaVu, STIX, Computer Modern and Hershey fonts",
    "printed-letters": "rendered in DejaVu, STIX, Computer Modern and Hershey fonts",
    "european-forms": _OWN,
    "drawn-letters": _OWN,
    "marks": _OWN,
}
"""By the name of the samples, `Inks.source`."""
