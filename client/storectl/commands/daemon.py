"""`storectl daemon`: run the daemon in the foreground, or start, stop and look at the one in the background."""

import os
import sys
from collections import deque

import click

from storectl.commands.output import duration_text, print_ahead, print_json, print_lines, size_text
from storectl.commands.parameters import Group, as_json
from storectl.daemon.answers import Health
from storectl.daemon.foreground import become_daemon
from storectl.daemon.made_ahead import made_ahead
from storectl.daemon.start import GONE, ensure_daemon, running_daemon, stop_daemon
from storectl.errors import DaemonNotRunningError, ServiceFileError
from storectl_shim.locations import log_path

NOT_RUNNING = 3
"""The exit code of `daemon status` if no daemon runs: the one that init scripts use for that."""


@click.group(cls=Group, invoke_without_command=True)
@click.option("--log-file", metavar="PATH", help="Log to this file; without it, to stderr.")
@click.option("--node", metavar="FILE", help="Serve many users, by this policy (docs/many-users.md).")
@click.pass_context
def daemon(context: click.Context, *, log_file: str | None, node: str | None) -> None:
    """Be the daemon, or start, stop and look at it."""
    if context.invoked_subcommand is None:
        options = {"--log-file": log_file, "--node": node}
        context.exit(become_daemon([word for name, value in options.items() if value for word in (name, value)]))


@daemon.command()
def start() -> None:
    """Start the daemon in the background. Does nothing if one is running."""
    print_lines(_summary(ensure_daemon(os.environ).health()))


@daemon.command()
def stop() -> None:
    """End the daemon, and wait until it is gone. Programs that are running go on."""
    print_lines("stopped" if stop_daemon(os.environ) else "not running")


@daemon.command()
@as_json
def status(*, json: bool) -> None:
    """Print how the daemon is. Exits with 3 if none is running, and starts none."""
    try:
        running = running_daemon(os.environ)
        health, ahead = running.health(), made_ahead(running)
    except GONE as error:
        if json:
            print_json({"status": "not running"})
        else:
            sys.stderr.write(error.report())
        raise click.exceptions.Exit(NOT_RUNNING) from None
    if json:
        print_json(_health_json(health) | ({} if ahead is None else {"ahead": ahead.to_json()}))
    else:
        print_lines(_summary(health), f"store: {health.store}", f"socket: {health.socket}")
        print_ahead(ahead)


@daemon.command()
@click.option("-n", "--lines", metavar="NUMBER", type=click.IntRange(min=1), default=50, help="How many lines.")
def logs(*, lines: int) -> None:
    """Print the end of the daemon's log."""
    log = log_path(os.environ)
    if not os.path.isfile(log):
        raise DaemonNotRunningError(
            f"there is no log at {log}", hint="the daemon has not run in the background; journalctl --user -u storectl"
        )
    with open(log, encoding="utf-8", errors="replace") as file:
        print_lines(*(line.rstrip("\n") for line in deque(file, maxlen=lines)))


@daemon.command()
@click.option("--print", "print_only", is_flag=True, help="Print the service files, and write nothing.")
@click.option("--enable", is_flag=True, help="Enable the service as well.")
def install(*, print_only: bool, enable: bool) -> None:
    """Install the service files. The service manager then starts the daemon when a command connects."""
    # Imported here, so that `daemon status` is quick: they take 12 ms to load.
    import subprocess  # noqa: PLC0415 - see above

    from storectl.daemon.service_files import LAUNCHD, filled_files, service_manager, write_files  # noqa: PLC0415

    manager = service_manager()
    files = filled_files(manager, os.environ)
    if print_only:
        for name, text in files.items():
            sys.stdout.write(f"# {name}\n{text}\n" if manager is not LAUNCHD else text)
        return
    paths = write_files(manager, files, os.environ)
    print_lines(*(f"wrote {path}" for path in paths))
    command = [*manager.enable, *(map(str, paths) if manager is LAUNCHD else ())]
    if not enable:
        print_lines(f"now run: {' '.join(command)}")
    elif subprocess.run(command, check=False).returncode != 0:
        raise ServiceFileError(f"failed: {' '.join(command)}", hint="the files are written; enable them by hand")


def _summary(health: Health) -> str:
    return (
        f"running: storectl {health.version}, process {health.pid}, "
        f"up {duration_text(health.uptime_s)}, {size_text(health.rss_bytes)}"
    )


def _health_json(health: Health) -> dict[str, object]:
    return {
        "status": "ok",
        "pid": health.pid,
        "version": health.version,
        "api": {"version": health.api, "features": sorted(health.features)},
        "store": health.store,
        "socket": health.socket,
        "uptime_s": health.uptime_s,
        "rss_bytes": health.rss_bytes,
    }
