"""Build, check and install the package; time the README's steps from a clone to the first picture.

    python checks/package.py   # -> benchmarks/results/package.json

The sdist and the wheel are built and checked, and the quick start runs from the wheel in an empty
environment. pip downloads the dependencies, in the versions of constraints.txt. Then a fresh clone
of the last commit runs the README's first command in another environment, with install and example
timed separately. Seconds are wall-clock time, which includes the machine's load and the network.
"""

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from _shared import RESULTS, ROOT, Row, environment, reported, table, write

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
WROTE = "wrote "  # what the example prints before the path of each picture


class Steps:
    """Commands run one after another, with their seconds."""

    def __init__(self):
        self.rows = []

    def run(self, name, *command, cwd=ROOT):
        """Run a command to its end; stop where it fails."""
        start = time.perf_counter()
        subprocess.run([str(part) for part in command], cwd=cwd, check=True)
        self.note(name, time.perf_counter() - start)

    def note(self, name, seconds):
        """Print and keep the seconds of a step."""
        self.rows.append({"step": name, "seconds": seconds})
        print(f"{name}: {seconds:.1f} s", flush=True)


def empty_environment(folder):
    """Return the interpreter of a new virtual environment."""
    venv.create(folder, with_pip=True)
    return Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python"


def build(steps, dist, flags):
    """Build sdist and wheel, check both, and return the wheel."""
    steps.run("build of sdist and wheel", sys.executable, "-m", "build", "--outdir", dist, *flags)
    wheel = max(dist.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    sdist = max(dist.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)
    steps.run("twine check", sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    return wheel


def install_and_run(steps, wheel):
    """Install the wheel into an empty environment and run the quick start from there."""
    with tempfile.TemporaryDirectory() as folder:
        python = empty_environment(folder)
        pip = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
        steps.run("install of the wheel", *pip, wheel)
        code = QUICK_START.format(root=str(ROOT))
        steps.run("quick start from the wheel", python, "-c", code, cwd=folder)


def first_command():
    """Return the arguments of python in the two halves of the README's first command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    line = re.search(r"<!-- ci: main-job -->\n```bash\n(.+)\n", text)[1]
    return [shlex.split(half)[1:] for half in line.split(" && ")]


def to_the_first_picture(steps):
    """Time the README's first command in a fresh clone, to its first picture and to its end."""
    install, example = first_command()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        steps.run("clone", "git", "clone", "--quiet", ROOT, clone)
        python = empty_environment(Path(folder) / "venv")
        steps.run("README's first command: install", python, *install, "--quiet", cwd=clone)
        start = time.perf_counter()
        with subprocess.Popen(
            [python, "-u", *example], cwd=clone, stdout=subprocess.PIPE, text=True
        ) as process:
            seen = [time.perf_counter() - start for line in process.stdout if WROTE in line]
        if process.returncode:
            raise SystemExit(f"{example} ended with {process.returncode}.")
        steps.note("README's first command: example, to its first picture", seen[0])
        steps.note("README's first command: example, to its end", time.perf_counter() - start)


@reported(
    "Package",
    "package",
    "checks/package.py",
    "From a fresh clone to the end of the README's example, with downloads.",
)
def section(content: Row) -> str:
    steps = [[row["step"], f"{row['seconds']:.1f}"] for row in content["rows"]]
    return table(["step", "seconds"], steps)


def main():
    """Build, check, install, run; write the seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where to build")
    parser.add_argument("--no-isolation", action="store_true", help="build with what is installed")
    parser.add_argument("--output", type=Path, help="the JSON file; by default in results/")
    options = parser.parse_args()
    steps = Steps()
    flags = ["--no-isolation"] if options.no_isolation else []
    install_and_run(steps, build(steps, options.dist.resolve(), flags))
    to_the_first_picture(steps)
    content = {"environment": environment(), "rows": steps.rows}
    write(options.output or RESULTS / "package.json", content)


if __name__ == "__main__":
    main()
