"""Generate and build the client kit from the OpenAPI document: ``make clients``.

``python clients/build.py [--to FOLDER] [--document FILE] [--node-modules FOLDER]`` copies the
hand-written sources to the folder, generates the rest beside them, and leaves three packages there: a
wheel, an npm package and a Postman collection. Generated code is not kept in the repository, so that it
cannot be old. The generators are pinned, by ``requirements-dev.txt`` and the lock file of npm, and two
builds of one document are the same bytes.

A program of the repository and no command of ``manage.py``: the service never needs it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules", "generated", "dist", "*.egg-info")
EPOCH = "1767225600"  # 2026: the date in the wheel, which would otherwise be the time of the build


def run(*command: object, cwd: Path) -> None:
    """Run a program. If it fails, print all that it has said, and end with an error."""
    words = [str(part) for part in command]
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")


def build(to: Path, *, document: Path | None = None, node_modules: Path | None = None) -> None:
    """Build all three clients into a folder. What was there of an earlier build goes."""
    for name in ("python", "typescript"):
        shutil.rmtree(to / name, ignore_errors=True)
        shutil.copytree(HERE / name, to / name, ignore=LEFT_OUT)
    written = to / "openapi.json"
    if document is None:
        spectacular = ("manage.py", "spectacular", "--format", "openapi-json", "--file", written)
        run(sys.executable, *spectacular, cwd=ROOT)
    else:
        shutil.copy(document, written)
    check_versions(written.read_text(encoding="utf-8"))
    build_python(to, written)
    build_typescript(to, written, node_modules)


def check_versions(document: str) -> None:
    """Refuse a document of another version of the API than the clients are of."""
    found = re.search(r'"version": ?"([^"]+)"', document)
    of_api = found.group(1) if found else ""
    for file, line in (
        ("python/pyproject.toml", f'version = "{of_api}"'),
        ("python/vod_client/__init__.py", f'__version__ = "{of_api}"'),
        ("typescript/package.json", f'"version": "{of_api}"'),
    ):
        if line not in (HERE / file).read_text(encoding="utf-8"):
            raise SystemExit(f"The API is {of_api}, and clients/{file} is not: write {line} there.")


def build_python(to: Path, document: Path) -> None:
    """Generate ``vod_client.generated``, and build the wheel."""
    folder = to / "python"
    run(
        sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning",
        "--path", document, "--config", folder / "openapi-python-client.yaml", "--meta", "none",
        "--output-path", folder / "vod_client" / "generated", cwd=folder,
    )  # fmt: skip
    run(
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        to,
        cwd=folder,
    )


def build_typescript(to: Path, document: Path, node_modules: Path | None) -> None:
    """Generate the types and the Postman collection, compile, bundle and pack."""
    folder = to / "typescript"
    if node_modules is None:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    else:
        (folder / "node_modules").symlink_to(node_modules)
    programs = folder / "node_modules" / ".bin"
    run("node", "generate.mjs", document, folder / "src" / "generated" / "schema.ts", cwd=folder)
    run(programs / "tsc", "--project", "tsconfig.json", cwd=folder)
    run(
        programs / "esbuild", "dist/index.js", "--bundle", "--format=esm", "--platform=browser",
        "--target=es2022", "--minify", "--outfile=dist/vod-client.bundle.js", cwd=folder,
    )  # fmt: skip
    run("node", "postman.mjs", document, to / "vod.postman_collection.json", cwd=folder)
    run("npm", "pack", "--ignore-scripts", "--pack-destination", to, cwd=folder)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the client kit.")
    parser.add_argument("--to", type=Path, default=HERE / "dist")
    parser.add_argument("--document", type=Path, help="an OpenAPI document; else this service's")
    parser.add_argument("--node-modules", type=Path, help="installed npm packages; else npm ci")
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    build(given.to.resolve(), document=given.document, node_modules=given.node_modules)
    for path in sorted(given.to.glob("*.*")):
        print(path)


if __name__ == "__main__":
    main()
