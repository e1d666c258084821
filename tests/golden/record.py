"""Record fits anew: ``python tests/golden/record.py [name ...]``; `cases.py` says when."""

import json
import sys
import warnings

from cases import CASES, FITS, machine, record
from sklearn.exceptions import ConvergenceWarning


def main(names: list[str]) -> None:
    stored = json.loads(FITS.read_text()) if FITS.exists() else {"machine": machine(), "fits": {}}
    if not names:
        names, stored = list(CASES), {"machine": machine(), "fits": {}}
    if stored["machine"] != machine():
        raise SystemExit("The others were recorded on another machine: record all of them.")
    warnings.simplefilter("ignore", ConvergenceWarning)  # such short fits have not converged
    for name in names:
        stored["fits"][name] = record(name)
    FITS.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
