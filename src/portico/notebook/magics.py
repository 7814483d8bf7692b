"""``%serve``: parses the line and does what it says: serves a thing, lists, stops, makes a key, or asks the doctor."""

from __future__ import annotations

import argparse
import ast
import difflib
import re
import shlex
import sys
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class

from portico.adapters.wiring import wiring_of
from portico.asgi.mount import MOUNTS
from portico.asgi.wsgi import THREADS
from portico.errors import PorticoError
from portico.notebook import rerun
from portico.notebook.binding import Bindings, is_passive
from portico.notebook.display import Cards, show_login
from portico.notebook.doctor import examine
from portico.provider import discovery, sharing
from portico.provider.options import AS_BEFORE
from portico.provider.provider import current
from portico.provider.service import Service
from portico.provider.serving import guess_name, serve
from portico.provider.sharing import Share
from portico.provider.thread import IN_TAB
from portico.types import suggest_name


class ServeError(UsageError):
    """``%serve`` could not do what was asked. The cell fails, so that "Run All" and papermill stop at it.

    Unlike IPython's own `UsageError`, which is text on stderr, it is an error in the notebook too; its message is all
    there is to know, so no traceback through IPython and Portico is shown.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"\x1b[31m{type(self).__name__}\x1b[39m: {self}"]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as IPython does, instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"unrecognized arguments: --(\w+)", message)
        if unknown and unknown[1] == "help":
            raise ServeError("%serve? shows what there is.")
        if unknown and unknown[1] in _ACCESSES:
            raise ServeError(f"there is no --{unknown[1]}: write --access {unknown[1]}")
        raise ServeError(f"{message}. See %serve?")


_ACCESSES = ("private", "key", "public")


def _parser() -> _Parser:
    parser = _Parser(prog="%serve", add_help=False, allow_abbrev=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--name")
    parser.add_argument("--title")
    parser.add_argument("--access", choices=_ACCESSES)
    parser.add_argument("--origin", action="append", default=[])
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--inputs", nargs="+", action="extend", default=[])
    parser.add_argument("--outputs", nargs="+", action="extend", default=[])
    parser.add_argument("--set", nargs="+", action="extend", default=[], dest="settings")
    parser.add_argument("--pin", action="store_true")
    parser.add_argument("--replace", action="store_true")
    parser.add_argument("--replica", action="store_true")
    parser.add_argument("--mount", choices=MOUNTS)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--kernel-loop", action="store_true")
    parser.add_argument("--hub", default="")
    parser.add_argument("--token", default="")
    parser.add_argument("--share", action="store_true")
    parser.add_argument("--relay", default="")
    parser.add_argument("--workspace", default="")
    # None is for an option that was not given, _NONE for one that was taken away
    parser.add_argument("--expires")
    parser.add_argument("--password", nargs="?", const=_ASK)
    parser.add_argument("--cidr", action="append")
    parser.add_argument("--rate")
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--max-body", type=int)
    for condition in _CONDITIONS:
        flag = condition.replace("_", "-")
        parser.add_argument(f"--no-{flag}", dest=condition, action="store_const", const=_NONE)
    parser.add_argument("--unshare", metavar="NAME")
    parser.add_argument("--login", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--stop", metavar="NAME")
    parser.add_argument("--doctor", action="store_true")
    return parser


_ASK = "\0"
"""Stands for a password that is asked for, so that it is not in the notebook."""

_NONE = "\0none"
"""Stands for a condition that is taken away."""

_CONDITIONS = ("expires", "password", "cidr", "rate", "concurrency", "max_body")

_OF_A_SHARE = ("relay", "workspace", *_CONDITIONS)

_OPTION = re.compile(r"(?:^|\s)--[a-z]")


def split(line: str) -> tuple[str, argparse.Namespace]:
    """The expression to serve, which may hold spaces and quotes, and the options after (or before) it."""
    match = _OPTION.search(line)
    expression, rest = (line, "") if match is None else (line[: match.start()], line[match.start() :])
    try:
        options = _parser().parse_args(shlex.split(rest))
    except ValueError as error:
        raise ServeError(f"{error}") from None
    expression = expression.strip()
    if options.words:
        if expression:
            raise ServeError(f"what is {' '.join(options.words)!r}? One app is served at a time.")
        expression = " ".join(options.words)
    return expression, options


@magics_class
class ServeMagics(Magics):
    """``%serve``."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.provider = current()
        self.cards = Cards(shell, self.provider)
        self._links: dict[str, Share] = {}
        """The links that cells asked for, by the names of their services."""
        self.bindings = Bindings(shell, self.provider, self._rebound, self.cards.why)

    @line_magic
    def serve(self, line: str) -> Service | None:
        """Give what is in the notebook a live URL.

        %serve app                      an ASGI or WSGI app, or an object that carries one
        %serve predict                  a function: a page with a form, POST .../run, and a tool that agents call (MCP)
        %serve [predict, explain] --name flats         several: .../predict/run, .../explain/run, and one page
        %serve Flats()                  the typed methods of an object
        %serve reply --chat             a function as a chat model, for every OpenAI client
        %serve {"a": f, "b": g} --name zoo --chat      several models behind one URL
        %serve MyWrapper()              a pipeline by its wrapper: a form, POST .../run, a tool, and a chat model
        %serve pipe --inputs question:prompt.query --outputs answer:llm.replies        a Haystack pipeline as it is

          --name NAME      part of the URL; made from the variable's name without it, of a list from the first one's
          --chat           the function, or each of a dict or list, is a chat model; else it is one if it is marked
                           with @portico.model, or has a parameter messages
          --inputs NAME:COMPONENT.SOCKET, --outputs NAME:COMPONENT.SOCKET       of a Haystack pipeline: what callers
                           give and get; several are written one after the other
          --set KEY=VALUE  of a wrapper: what its setup is given
          --title TITLE    for people
          --access private (you, and keys; the default) | key (keys alone) | public
          --origin ORIGIN  another origin whose pages may call it (CORS); may be given again
          --pin            stay with this object when the name is defined anew
          --replace        take the name over from another kernel
          --replica        stand beside another kernel, and share its requests
          --threads N      requests that a WSGI app (Flask) works on at a time
          --mount strip    for an app that answers all with 404: it does not know of ASGI's root_path
          --kernel-loop    run on the kernel's own event loop (does not answer while a cell runs)
          --hub URL, --token TOKEN       where to publish, when it is not found by itself

          --share          by a link too, from anywhere, through a relay: public, unless --access says otherwise
          --relay URL, --workspace NAME  which; else PORTICO_RELAY, else the one you logged in at
          --expires 2h     until when the link may be opened
          --password       a password for its visitors, which is asked for here; --password WORD says it, and the
                           notebook keeps it
          --cidr NETWORK, --rate 60/min, --concurrency 8, --max-body BYTES     from where, how often, how much
          --no-password, --no-expires, --no-cidr, --no-rate, --no-concurrency, --no-max-body
                           take away what the link had before

        Run again, a cell keeps what restricts (a password, an expiry, --access key...) until it is taken away, and what
        opens (--access public, --origin, --share) only while it is there. The card says what changed.

        Afterwards `service` is the service, unless that name is yours already; so is what `x = %serve app` gives:
        service.url, service.key(expires="1h"), service.log, service.stop().

        %serve --list                   what this notebook serves
        %serve --stop NAME              take it down
        %serve --unshare NAME           take its links back
        %serve --login --relay URL      log in at a relay, for --share
        %serve --doctor                 how the hub was found, or why not
        """
        expression, options = split(line)
        try:
            if options.doctor:
                print(examine(self.provider, options.hub, options.token))
            elif options.list:
                self._list()
            elif options.stop:
                self._stop(options.stop)
            elif options.unshare:
                self._unshare(options.unshare)
            elif options.login and not expression:
                self._login(options)
            elif expression:
                return self._serve(expression, options)
            else:
                raise ServeError("serve what? Try: %serve app, %serve --list, %serve --doctor, or %serve?")
        except PorticoError as error:
            raise ServeError(self.cards.why(error)) from None
        return None

    def _serve(self, expression: str, options: argparse.Namespace) -> Service:
        try:
            thing = self.bindings.lookup(expression)
        except NameError as error:
            near = difflib.get_close_matches(error.name or "", self.bindings.names(), 1, 0.75)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise ServeError(f"{error}. Run the cell that defines it first.{meant}") from None
        except SyntaxError:
            several = expression.replace(",", " ").split()
            if len(several) > 1 and all(map(str.isidentifier, several)):
                listed = f"[{', '.join(several)}]"
                raise ServeError(f"several are served as a list: %serve {listed} --name NAME") from None
            raise ServeError(f"{expression!r} is no Python expression. See %serve?") from None
        if isinstance(thing, str) and thing in self.bindings.names():
            raise ServeError(f"{expression} is a text: write the name without quotes, %serve {thing}")
        if not options.share and (given := [name for name in _OF_A_SHARE if getattr(options, name)]):
            raise ServeError(f"--{given[0].replace('_', '-')} is of a link: add --share")
        if options.share and options.login:
            self._login(options)
        name = options.name or _name_of(expression)
        wiring = wiring_of(options.inputs, options.outputs, options.settings)
        served = self.provider.services.get(name or guess_name(thing))
        before = served.options if served is not None else None
        service = serve(
            thing,
            name,
            title=rerun.title(before, options.title),
            # with --share, --access is about the link
            access=rerun.access(before, None if options.share else options.access),
            origins=options.origin,
            chat=options.chat,
            inputs=wiring.inputs,
            outputs=wiring.outputs,
            settings=wiring.settings,
            replace=options.replace,
            replica=options.replica,
            mount=options.mount,
            threads=options.threads,
            loop="kernel" if options.kernel_loop else "own",
            hub=options.hub,
            token=options.token,
        )
        if options.pin or not is_passive(expression):
            self.bindings.unbind(service.name)
        else:
            self.bindings.bind(service, expression, thing, chat=options.chat)
        if isinstance(self.shell.user_ns.get("service", service), Service):
            self.shell.user_ns["service"] = service
        service.notes = tuple(rerun.changes(before, service.options))
        try:
            self._link(service, options)
        finally:  # it is live here, whatever became of the link
            self.cards.show(service)
        return service

    def _link(self, service: Service, options: argparse.Namespace) -> None:
        """Share *service*, or take back the link that an earlier run of such a cell made."""
        before = self._links.get(service.name)
        if before is not None and before not in service.shares:
            before = None
        if options.share:
            share = self._links[service.name] = self._share(service, options, before)
        elif before is not None:
            share = None
            del self._links[service.name]
        if before is not None and before.status not in ("stopped", "failed") and before is not share:
            before.stop()
            service.notes += (rerun.ended(before),)

    def _share(self, service: Service, options: argparse.Namespace, before: Share | None) -> Share:
        """*before* is the link of an earlier run, perhaps by another relay; what restricted it holds still."""
        given = {name: value for name in _CONDITIONS if (value := getattr(options, name)) is not None}
        is_saved = given.get("password") not in (None, _ASK, _NONE)
        if given.get("password") == _ASK:
            from getpass import getpass

            given["password"] = getpass(f"Password for the visitors of {service.name}: ")
        if given.get("password") == "":
            raise ServeError("no password was given. --no-password takes away the one that there was")
        conditions = {name: None if value == _NONE else value for name, value in given.items()}
        # --token is the hub's, and a relay's is not for a notebook that others read
        address = discovery.find_relay(options.relay, "", options.workspace)
        terms = sharing.former(service, address, service.name) or (before.terms if before is not None else None)
        share = sharing.share(
            service,
            address,
            service.name,
            options.access or AS_BEFORE,
            replace=options.replace,
            before=terms,
            **conditions,
        )
        named = {*given, "access"} if options.access else {*given}
        service.notes += tuple(rerun.link_changes(terms, share, named))
        if is_saved:
            service.notes += (rerun.PASSWORD_IS_SAVED,)
        return share

    def _unshare(self, name: str) -> None:
        service = self._find(name)
        if not service.shares:
            raise ServeError(f"{service.name} is not shared.")
        service.unshare()
        self.provider.thread.call(self.cards.refresh, service.name)
        print(f"{service.name} is shared no more.")

    def _login(self, options: argparse.Namespace) -> None:
        """Log in at a relay, in the browser that the notebook is read in."""
        if IN_TAB and not self.provider.thread.can_wait():
            raise ServeError(
                "Python cannot wait for a login in this browser, which does not switch stacks (JSPI). Get a token of "
                "the relay elsewhere, and set it here: os.environ['PORTICO_TOKEN'] = getpass.getpass()"
            )
        from portico.provider import credentials
        from portico.provider.discovery import relay_url
        from portico.provider.login import DeviceLogin

        base = relay_url(options.relay)
        flow = DeviceLogin(base, workspace=options.workspace)
        challenge = flow.begin()
        show_login(challenge)
        kept = flow.finish(challenge)
        credentials.save(kept)
        print(f"You are logged in at {base}, workspace {kept.workspace}.")

    def _rebound(self, service: Service, expression: str) -> None:
        print(f"{service.url or service.name} answers with the new {expression}.")
        for remark in service.remarks:
            print(remark, file=sys.stderr)
        self.cards.reload(service)
        self.provider.thread.call(self.cards.refresh, service.name)

    def _list(self) -> None:
        services = list(self.provider.services.values())
        if not services:
            print("This notebook serves nothing. Try: %serve app")
        for service in services:
            answered = f"{service.requests:6} request{'s' if service.requests != 1 else ' '}"
            print(f"{service.name:20} {service.status:13} {service.access:8} {answered}  {service.url}")
            for share in service.shares:
                print(f"{'':20} {share.status:13} {share.access:8} {'':15}  {share.url}")

    def _find(self, name: str) -> Service:
        service = self.provider.services.get(name) or self.provider.services.get(suggest_name(name))
        if service is None:
            known = ", ".join(self.provider.services) or "nothing"
            raise ServeError(f"no service named {name!r} here; this notebook serves {known}.")
        return service

    def _stop(self, name: str) -> None:
        service = self._find(name)
        self.bindings.unbind(service.name)
        service.stop()
        print(f"{service.name} is stopped.")


def _name_of(expression: str) -> str | None:
    """A service's name from the variable's: ``my_app`` and ``lib.my_app`` give ``my-app``."""
    try:
        node = ast.parse(expression, mode="eval").body
    except SyntaxError:
        return None
    if isinstance(node, ast.Name):
        return suggest_name(node.id) or None
    if isinstance(node, ast.Attribute):
        return suggest_name(node.attr) or None
    return None
