"""What the daemon made ready before anybody asked for it, in a line for people."""

from storectl.commands.output import count_text, moment_text
from storectl.daemon.made_ahead import AheadAccount, MadeAhead

_CAUSES = {"fetch": "fetched ahead", "worktree": "a new worktree"}


def ahead_text(account: AheadAccount, last: MadeAhead) -> str:
    """Such as ``made ahead: 2 times this week, 4.3 s of waiting saved; last: branch fix-ci, 4.1 s, today 09:14``."""
    times = count_text(account.made, "time")
    saved = f"{waiting_text(account.saved_s)} of waiting saved"
    return f"made ahead: {times} this week, {saved}; last: {_last_text(last)}"


def _last_text(last: MadeAhead) -> str:
    facts = [f"branch {last.branch}" if last.branch else "", _CAUSES.get(last.why, ""), waiting_text(last.seconds)]
    return ", ".join([*filter(None, facts), moment_text(last.at)])


def waiting_text(seconds: float) -> str:
    """``4.1 s``, ``3 min 10 s``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
