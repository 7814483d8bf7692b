"""Deploy pipelines to a running server, undeploy them, and run them.

The server is the one of portico run on this machine, unless --host and --port, or PORTICO_HOST and PORTICO_PORT, name
another.
"""

from __future__ import annotations

import argparse
import codecs
import http.client
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from portico.cli.pipelines_server import (
    PipelinesAddress,
    RefusedByServer,
    Response,
    add_server_options,
    ask,
    ask_json,
    path_of,
    print_anything,
    server_of,
    values_of,
)
from portico.cli.upload import FormBody, NamedFile, files_below
from portico.errors import InvalidOption, LinkClosed, LocalError

_PIECE = 64 * 1024  # bytes that are taken of a stream at a time, at most


def configure(parser: argparse.ArgumentParser) -> None:
    add_server_options(parser)
    kinds = parser.add_subparsers(metavar="deploy-files | deploy-yaml | undeploy | run", required=True)

    files = _kind(kinds, "deploy-files", _deploy_files, "deploy a folder with a pipeline_wrapper.py")
    files.add_argument("folder", type=Path, help="the folder: all files in it are sent, but hidden ones and caches")
    files.add_argument("-n", "--name", required=True, help="what the pipeline is to be called")
    _add_deploying(files, "files")

    yaml = _kind(kinds, "deploy-yaml", _deploy_yaml, "deploy a Haystack pipeline in YAML")
    yaml.add_argument("file", type=Path, help="the YAML file, which declares inputs and outputs")
    yaml.add_argument("-n", "--name", default=None, help="what it is to be called; as its file without it")
    _add_deploying(yaml, "yaml")

    either = _kind(kinds, "deploy", _deploy, "deploy-yaml for a file, deploy-files for a folder")
    either.add_argument("path", type=Path, help="the YAML file, or the folder")
    either.add_argument("-n", "--name", default=None, help="what it is to be called; as the file or folder without it")
    _add_deploying(either, "files", "yaml")

    undeploy = _kind(kinds, "undeploy", _undeploy, "undeploy a pipeline; its files stay")
    undeploy.add_argument("name", help="what it is called")

    run = _kind(kinds, "run", _run, "run a pipeline, and print its result")
    run.add_argument("name", help="what it is called")
    run.add_argument(
        "-p",
        "--param",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a parameter: JSON, or any other text as it is. Once for each",
    )
    run.add_argument(
        "-f", "--file", metavar="FILE", type=Path, action="append", default=[], help="send this file. Once for each"
    )
    run.add_argument(
        "-d", "--dir", metavar="DIR", type=Path, action="append", default=[], help="send all files in this folder"
    )
    run.add_argument("-s", "--stream", action="store_true", help="print what comes as it comes")


def _kind(kinds: Any, name: str, work: Any, help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(name, help=help, allow_abbrev=False)
    parser.set_defaults(work=work)
    add_server_options(parser, argparse.SUPPRESS)  # what was given before the subcommand's name stays
    return parser


def _add_deploying(parser: argparse.ArgumentParser, *kinds: str) -> None:
    """What goes with deploying folders (``files``), and what with YAML (``yaml``)."""
    parser.add_argument("-o", "--overwrite", action="store_true", help="replace a pipeline of that name")
    if "files" in kinds:
        parser.add_argument(
            "-s", "--skip-saving-files", action="store_true", help="of a folder: the server keeps it in memory alone"
        )
        parser.add_argument(
            "--set",
            metavar="KEY=VALUE",
            action="append",
            default=[],
            help="of a folder: give setup() this, JSON or any other text. Once for each",
        )
    if "yaml" in kinds:
        parser.add_argument("--description", default=None, help="of YAML: what people and agents read of it")
        parser.add_argument("--skip-mcp", action="store_true", help="of YAML: do not tell agents of it")
        parser.add_argument(
            "--save-file",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="of YAML: whether the server keeps the file",
        )


def run(options: argparse.Namespace) -> int:
    print_anything()
    status: int = options.work(options, server_of(options))
    return status


# --- deploying --------------------------------------------------------------------------------------------------


def _deploy(options: argparse.Namespace, server: PipelinesAddress) -> int:
    path = _there(options.path, "Path")
    options.name = options.name or (path.resolve().name if path.is_dir() else path.stem)
    if path.is_dir():
        options.folder = path
        return _deploy_files(options, server)
    options.file = path
    return _deploy_yaml(options, server)


def _deploy_files(options: argparse.Namespace, server: PipelinesAddress) -> int:
    folder = _there(options.folder, "Directory")
    settings = {key: value for key, (_, value) in values_of(options.set, "--set").items()}
    asked = {
        "name": options.name,
        "files": _contents(folder),
        "save_files": not options.skip_saving_files,
        "overwrite": options.overwrite,
    }
    return _send(server, "/deploy_files", asked | ({"settings": settings} if settings else {}))


def _deploy_yaml(options: argparse.Namespace, server: PipelinesAddress) -> int:
    path = _there(options.file, "File")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise LocalError(f"{path} is no text in UTF-8") from None
    asked = {
        "name": path.stem if options.name is None else options.name,
        "source_code": text,
        "overwrite": options.overwrite,
        "description": options.description,
        "save_file": options.save_file,
        "skip_mcp": options.skip_mcp,
    }
    return _send(server, "/deploy-yaml", asked)


def _send(server: PipelinesAddress, path: str, asked: dict[str, Any]) -> int:
    name = asked["name"]
    try:
        answer = ask_json(server, path, asked).json()
    except RefusedByServer as error:
        if error.status != 409:
            raise
        raise LocalError(f"Pipeline '{name}' already exists. Replace it with --overwrite") from None
    endpoint = answer.get("endpoint") if isinstance(answer, dict) else None
    at = quote(endpoint, errors="replace") if isinstance(endpoint, str) else path_of(name, "run")
    print(f"Pipeline '{name}' successfully deployed! It is at {server.url}{at}")
    return 0


def _contents(folder: Path) -> dict[str, Any]:
    """The files of a wrapper's folder, as they are sent. Raises `LocalError`."""
    from portico.pipelines.deploying.names import MOST_BYTES, MOST_FILES, WRAPPER_FILE, encode_file
    from portico.pipelines.settings import PipelinesSettings

    if not (folder / WRAPPER_FILE).is_file():
        raise LocalError(f"Missing required file: there is no {WRAPPER_FILE} in {folder}")
    files = files_below(folder, PipelinesSettings.read().files_to_ignore_patterns)
    if len(files) > MOST_FILES:
        raise LocalError(f"{folder} holds {len(files)} files; at most {MOST_FILES} can be deployed")
    found, left = {}, MOST_BYTES
    for file in files:
        try:
            with file.path.open("rb") as source:
                content = source.read(left + 1)
        except OSError as error:
            raise LocalError(f"{file.path} cannot be read: {error.strerror or error}") from None
        left -= len(content)
        if left < 0:
            raise LocalError(f"{folder} holds over {MOST_BYTES >> 20} MiB, which is the most that can be deployed")
        found[file.name] = encode_file(content)
    return found


def _undeploy(options: argparse.Namespace, server: PipelinesAddress) -> int:
    ask(server, "POST", path_of("undeploy", options.name), within=None)
    print(f"Pipeline '{options.name}' successfully undeployed!")
    return 0


def _there(path: Path, what: str) -> Path:
    if not path.exists():
        raise LocalError(f"{what} {path} does not exist")
    if what != "Path" and path.is_dir() != (what == "Directory"):
        raise LocalError(f"{path} is not a {what.lower()}")
    return path


# --- running ----------------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace, server: PipelinesAddress) -> int:
    given = values_of(options.param, "--param")
    files = [NamedFile(path.name, path) for path in options.file if _there(path, "File")]
    for folder in options.dir:
        files += files_below(_there(folder, "Directory"), ())
    answer = _answer(server, options.name, given, files, sent_files=bool(options.file or options.dir))
    if options.stream:
        _print_stream(answer)
    else:
        _print_result(answer)
    print(f"Pipeline '{options.name}' executed successfully!", file=sys.stderr)
    return 0


def _answer(
    server: PipelinesAddress, name: str, given: dict[str, tuple[str, Any]], files: list[NamedFile], *, sent_files: bool
) -> Response:
    """Run it: with JSON, or with a form if there are files, or if the pipeline takes nothing else."""
    path = path_of(name, "run")
    if not sent_files:
        values = {key: value for key, (_, value) in given.items()}
        try:
            return ask_json(server, path, values)
        except RefusedByServer as error:
            if not _is_of_another_type(error):
                texts = _wanted_as_texts(error, given)
                if texts:  # nothing was run: `-p zip=12345` is a text, too
                    return ask_json(server, path, values | texts)
                if error.status == 422 and (advice := _advice(error)):
                    raise LocalError(f"{error}\n{advice}") from None
                raise
    fields = {key: value if isinstance(value, str) else text for key, (text, value) in given.items()}
    form = FormBody(fields, files)
    try:
        return ask(server, "POST", path, body=form, headers=form.headers, within=None)
    except RefusedByServer as error:
        if not (sent_files and _is_of_another_type(error)):
            raise
        raise LocalError(f"Pipeline '{name}' takes no files: run it without --file and --dir") from None


def _is_of_another_type(error: RefusedByServer) -> bool:
    """Whether the server takes no body of the type that was sent: JSON, or a form."""
    told = error.detail if isinstance(error.detail, list) else []
    return any(isinstance(one, dict) and one.get("type") == "content_type" for one in told)


def _advice(error: RefusedByServer) -> str:
    """How a parameter is given that the server says is missing, or is no list or object."""
    for one in error.detail if isinstance(error.detail, list) else ():
        if isinstance(one, dict) and one.get("type") == "missing":
            return "Parameters are given by -p NAME=VALUE, once for each"
        if isinstance(one, dict) and one.get("type") in ("list_type", "dict_type", "model_type"):
            return """Lists and objects are given as JSON: -p 'urls=["https://example.org"]'"""
    return ""


def _wanted_as_texts(error: RefusedByServer, given: dict[str, tuple[str, Any]]) -> dict[str, str]:
    """The parameters that were read as JSON, and of which the server says that they have to be texts."""
    if error.status != 422 or not isinstance(error.detail, list):
        return {}
    wrong = [one for one in error.detail if isinstance(one, dict) and one.get("type") == "string_type"]
    places = [one["loc"][1] for one in wrong if isinstance(one.get("loc"), list) and len(one["loc"]) > 1]
    return {key: given[key][0] for key in places if key in given and not isinstance(given[key][1], str)}


def _print_result(answer: Response) -> None:
    content = answer.whole()
    if answer.media_type == "application/json":
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            raise LinkClosed("the answer is no JSON, though it says so") from None
        if isinstance(value, dict) and "result" in value:
            value = value["result"]
        _write((value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)) + "\n")
    elif _is_text(answer):
        text = content.decode(errors="replace")
        _write(text if text.endswith("\n") or not text else text + "\n")
    else:
        _write_bytes(content)


def _print_stream(answer: Response) -> None:
    """Raises `LinkClosed` if it breaks off."""
    is_text = _is_text(answer)
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
    try:
        while piece := answer.body.read1(_PIECE):
            if is_text:
                _write(decode(piece))
            else:
                _write_bytes(piece)
    except (OSError, http.client.HTTPException):
        broke = True
    else:
        broke = bool(answer.body.length)  # what `read1` does not say: some of it is still to come
    if is_text:
        _write(decode(b"", True) + "\n")
    if broke:
        raise LinkClosed("the pipeline failed in mid-stream; the server's log says why")


def _is_text(answer: Response) -> bool:
    return answer.media_type.startswith("text/") or answer.media_type in ("application/json", "")


_ESCAPES = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t\r"}
"""Control characters: with them a text could move about in a terminal, and say what its reader did not run."""


def _write(text: str) -> None:
    sys.stdout.write(text.translate(_ESCAPES) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def _write_bytes(content: bytes) -> None:
    if sys.stdout.isatty():
        raise InvalidOption("the pipeline gives bytes, which no terminal shows: send them to a file with > FILE")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
