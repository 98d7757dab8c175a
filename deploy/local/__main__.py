"""python -m deploy.local run | up | down | topics | people N | redrive SERVICE [options]: what the Makefile calls."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from deploy.local import background, choices, demo, people, progress, redrive, servers, topics
from deploy.local.files import read_object
from deploy.local.follow import Follower
from deploy.local.layout import CHECKOUT, Layout
from deploy.local.running import supervise
from deploy.local.trouble import Trouble


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    try:
        return perform(arguments, environ)
    except Trouble as trouble:
        print(f"carillon: {trouble}", file=sys.stderr)
    except OSError as error:
        print(f"carillon: {servers.in_words(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("carillon: interrupted", file=sys.stderr)
        return 130
    return 1


def perform(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    chosen = choices.read(environ, CHECKOUT)
    layout = Layout(chosen.run_dir)
    begun = time.monotonic()
    say = progress.to_terminal(begun)
    match list(arguments):
        case ["up"]:
            announce(layout, background.up(layout, environ, say), time.monotonic() - begun)
        case ["down"]:
            background.down(layout, say)
        case ["run"]:
            run(layout, chosen, environ, begun)
        case ["supervise", descriptor]:
            background.supervise_in_background(layout, chosen, environ, int(descriptor))
        case ["topics"]:
            print(asyncio.run(topics.create(running(layout)["kafka"])))
        case ["people", number]:
            asyncio.run(people.add(layout, running(layout), environ, number, say))
        case ["redrive", *wanted]:
            return redrive.run(layout, running(layout), wanted)
        case _:
            raise Trouble(__doc__ or "")
    return 0


def run(layout: Layout, chosen: choices.Choices, environ: Mapping[str, str], begun: float) -> NoReturn:
    """In the foreground, with the logs, until Ctrl-C."""
    following: list[asyncio.Task[None]] = []

    def ready(content: dict[str, Any]) -> None:
        announce(layout, content, time.monotonic() - begun)
        print("Ctrl-C stops it all. The logs from here on:", flush=True)
        follower = Follower(layout.logs, lambda line: print(line, flush=True))
        following.append(asyncio.create_task(follower.follow()))

    code = 0
    try:
        supervise(layout, chosen, environ, say=progress.to_terminal(begun), ready=ready)
        print("Carillon is down", flush=True)
    except Trouble as trouble:
        print(f"carillon: {trouble}", file=sys.stderr, flush=True)
        code = 1
    # A download that was under way when the stop was asked for has a thread that an ordinary exit would wait for.
    os._exit(code)


def announce(layout: Layout, content: Mapping[str, Any], seconds: float) -> None:
    print(
        f"\nCarillon is up ({seconds:.1f} s).\n"
        f"  gateway   {'  '.join(content['gateways'])}\n"
        f"  sandbox   {content['sandbox']}/messages (what arrived)\n"
        f"  demo      {demo.CREDENTIALS.relative_to(CHECKOUT)} (keys), people.csv beside it\n"
        f"  the rest  endpoints.json, logs/ and data lie in {layout.run}\n",
        flush=True,
    )


def running(layout: Layout) -> dict[str, Any]:
    content = read_object(layout.endpoints)
    if content is None:
        raise Trouble(f"no Carillon is up under {layout.run}: make up starts one")
    return content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
