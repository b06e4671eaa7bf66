"""What changed from one environment to another."""

from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.environments.difference import Member, difference

SHA = Digest("sha256:" + "1" * 64)
OTHER_SHA = Digest("sha256:" + "2" * 64)
SHA512 = Digest("sha512:" + "1" * 128)


def member(name: str, version: str | None = "1.0", digest: Digest | None = None) -> Member:
    return Member(name=NormalizedName(name), version=version, digest=digest)


def told(before: list[Member], after: list[Member]) -> list[tuple[str, str | None, str | None]]:
    def version(member: Member | None) -> str | None:
        return member.version if member else None

    return [(change.name, version(change.before), version(change.after)) for change in difference(before, after)]


def test_nothing_changes_between_equal_ones() -> None:
    assert told([], []) == []
    assert told([member("idna", digest=SHA)], [member("idna", digest=SHA)]) == []


def test_what_came_went_and_changed_is_told_by_name() -> None:
    before = [member("pandas", "2.2.3"), member("idna"), member("xlrd", "2.0")]
    after = [member("pyarrow", "17.0"), member("idna"), member("pandas", "2.3.0")]
    assert told(before, after) == [("pandas", "2.2.3", "2.3.0"), ("pyarrow", None, "17.0"), ("xlrd", "2.0", None)]


def test_another_wheel_of_the_same_version_is_a_change() -> None:
    assert told([member("idna", digest=SHA)], [member("idna", digest=OTHER_SHA)]) == [("idna", "1.0", "1.0")]


def test_what_is_not_known_is_no_change() -> None:
    assert told([member("idna", digest=SHA)], [member("idna")]) == []
    assert told([member("idna", digest=SHA)], [member("idna", digest=SHA512)]) == []
    assert told([member("site", "0.1", SHA)], [member("site", None)]) == []
