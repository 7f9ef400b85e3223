"""Install the pinned requirements into a virtual environment; run by `make run` before the first start.

It is written for old versions of Python too, so that they can say which one is needed. An interrupted
installation is taken up by the next one.
"""

import os
import subprocess
import sys

NEEDED = (3, 11)


def fault():
    """Return why this Python cannot make a virtual environment, or None."""
    another = "Name another Python: make run PYTHON=python3.12"
    if sys.version_info < NEEDED:
        version = ".".join(map(str, sys.version_info[:2]))
        return f"Python 3.11 or newer is needed, and {sys.executable} is {version}. {another}"
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        return (
            f"This Python has no module {error.name}. On Debian and Ubuntu: apt install python3-venv."
            f" {another}"
        )
    return None


def install(folder, requirements):
    """Make the virtual environment unless a whole one exists, and install into it. Return the status."""
    import venv

    python = os.path.join(folder, "bin", "python")
    if call(python, "--version", quietly=True) != 0:
        try:
            venv.EnvBuilder(clear=True, symlinks=True, with_pip=True).create(folder)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.stderr.write(
                f"The virtual environment {folder} cannot be made ({error}). Make its folder writable,"
                " or name another: make run VENV=/path/to/a/new/folder\n"
            )
            return 1
    status = call(python, "install", "--quiet", "--disable-pip-version-check", "-r", requirements)
    if status != 0:
        sys.stderr.write(f"pip could not install {requirements}; its message is above.\n")
    return status


def call(python, *arguments, quietly=False):
    """Run pip in the virtual environment and return its exit status, 1 if there is none."""
    output = subprocess.DEVNULL if quietly else None
    try:
        return subprocess.call(  # noqa: S603 - our own arguments
            [python, "-m", "pip", *arguments], stdout=output, stderr=output
        )
    except OSError:
        return 1


if __name__ == "__main__":
    reason = fault()
    if reason:
        sys.exit(reason)
    try:
        sys.exit(install(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. The next `make run` goes on.\n")
        sys.exit(130)
