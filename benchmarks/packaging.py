"""Build the sdist and the wheel, check them, and run the quick start from the wheel.

In a fresh environment, which takes what pip downloads: the wheel's dependencies at the versions of
constraints.txt. Prints the seconds of each step; results go nowhere.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
QUICK_START = """
from pathlib import Path
import sklearn_binfogan
from sklearn.datasets import load_digits
from sklearn_binfogan import BInfoGANTransformer, load, save

assert not Path(sklearn_binfogan.__file__).is_relative_to({root!r}), "not the installed package"
assert Path(sklearn_binfogan.__file__).with_name("py.typed").exists()
X = load_digits(return_X_y=True)[0]
gan = BInfoGANTransformer(n_clusters=10, image_shape=(8, 8), random_state=0)
labels = gan.fit_predict(X)
save(gan, "digits.safetensors")
assert (load("digits.safetensors").predict(X) == labels).all()
print(f"version {{sklearn_binfogan.__version__}}, score {{gan.score(X):.3f}}")
"""


def step(name, *command, cwd=ROOT):
    """Run a command and print how long it took; stop where it fails."""
    start = time.perf_counter()
    subprocess.run([str(part) for part in command], cwd=cwd, check=True)
    print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)


def main():
    """Build, check, install, run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where to build")
    parser.add_argument("--no-isolation", action="store_true", help="build with what is installed")
    options = parser.parse_args()
    dist = options.dist.resolve()
    flags = ["--no-isolation"] if options.no_isolation else []
    step("build", sys.executable, "-m", "build", "--outdir", dist, *flags)
    wheel = max(dist.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    sdist = max(dist.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)
    step("twine check", sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        pip = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
        step("install of the wheel", *pip, wheel)
        step("quick start", python, "-c", QUICK_START.format(root=str(ROOT)), cwd=folder)


if __name__ == "__main__":
    main()
