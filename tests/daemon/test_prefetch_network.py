"""The network as it is for what nobody has asked for: no server but the known ones, no login elsewhere, no keyring."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from storectl_daemon.entries.identification import Identification
from storectl_daemon.errors import FetchError
from storectl_daemon.indexes.access import Access, Network
from storectl_daemon.network.address import Address
from storectl_daemon.prefetching.admission import FREE_BYTES, Allowance, Budget, NotAdmittedError, known_to
from storectl_store.digest import digest_of_hex
from storectl_store.entries.store import Store
from storectl_store.selection.pin import Selection, WheelFile
from support.index import LoopbackIndex, serve_index
from support.private_index import FakeKeyring, require_login
from support.wheels import WheelBytes, make_wheel

PLENTY = 1 << 50


def file_of(index: LoopbackIndex, wheel: WheelBytes) -> WheelFile:
    index.add(wheel)
    return WheelFile(
        filename=wheel.filename, digest=digest_of_hex(wheel.hexdigest), url=index.file_url(wheel), size=len(wheel.data)
    )


def with_access(
    tmp_path: Path, budget: Budget, environ: dict[str, str], story: Callable[[Access], Coroutine[Any, Any, None]]
) -> None:
    """Do the story with the network of a job that has these bounds and variables."""

    async def main() -> None:
        store = Store.open(tmp_path / "store")
        network = Network(store, Identification(store.catalogue, session=tmp_path), home=tmp_path)
        async with network.access(tmp_path, {"HOME": str(tmp_path), **environ}, budget) as access:
            await story(access)
        await network.aclose()
        store.close()

    asyncio.run(main())


def budget_of(*addresses: str, free: int = PLENTY) -> Budget:
    known = known_to(Selection(), (), map(Address, addresses))
    return Budget(allowance=Allowance(free=lambda: free), known=known)


def fetch(access: Access, wheel: WheelFile, tmp_path: Path) -> Coroutine[Any, Any, Any]:
    return access(wheel, tmp_path / wheel.filename, progress=lambda _: None)


def test_a_wheel_comes_from_a_known_server_and_counts(tmp_path: Path) -> None:
    with serve_index() as index:
        wheel = file_of(index, make_wheel("alpha"))
        budget = budget_of(index.url)
        before = budget.allowance.left

        async def story(access: Access) -> None:
            assert (await fetch(access, wheel, tmp_path)).digest == wheel.digest

        with_access(tmp_path, budget, {}, story)
        assert wheel.size is not None
        assert budget.allowance.left == before - wheel.size


def test_a_small_wheel_that_would_fill_the_disk_is_not_unpacked(tmp_path: Path) -> None:
    with serve_index() as index:
        wheel = file_of(index, make_wheel("bomb", files={"bomb.py": "#" * 1_000_000}))

        async def story(access: Access) -> None:
            with pytest.raises(NotAdmittedError, match="unpacks to 1000"):
                await fetch(access, wheel, tmp_path)

        with_access(tmp_path, budget_of(index.url, free=FREE_BYTES + 1_000_000), {}, story)


def test_a_login_goes_to_no_server_that_is_not_known_not_even_over_a_redirect(tmp_path: Path) -> None:
    with serve_index() as own, serve_index() as other:
        wheel = file_of(other, make_wheel("alpha"))
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ann password s3cret\n")

        def redirect(handler: Any) -> bool:
            handler.send_response(302)
            handler.send_header("Location", wheel.url)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return True

        own.respond = redirect
        moved = WheelFile(filename=wheel.filename, digest=wheel.digest, url=f"{own.root}/x.whl", size=wheel.size)

        async def story(access: Access) -> None:
            for each in (wheel, moved):
                with pytest.raises(NotAdmittedError):
                    await fetch(access, each, tmp_path)

        with_access(tmp_path, budget_of(own.url), {}, story)
        assert own.requests.total() == 1, "the redirect was followed to its target's address, and no further"
        assert not other.requests


def test_the_keyring_is_not_asked(tmp_path: Path) -> None:
    keyring = FakeKeyring(tmp_path)
    with serve_index() as index:
        wheel = file_of(index, make_wheel("alpha"))
        require_login(index, "never")
        environ = {
            "PATH": os.pathsep.join([str(keyring.bin), os.environ["PATH"]]),
            "PIP_KEYRING_PROVIDER": "subprocess",
            "PIP_INDEX_URL": index.url,
        }

        async def story(access: Access) -> None:
            with pytest.raises(FetchError, match="401"):
                await fetch(access, wheel, tmp_path)

        with_access(tmp_path, budget_of(index.url), environ, story)
        assert index.requests.total() > 0
        assert keyring.asked == []
