"""pip's variables for a build: where packages come from, and nothing else of what somebody configured for pip.

pip reads none of its configuration files then: ``user``, ``target``, ``no-deps``, ``require-hashes`` or ``dry-run`` in them are meant
for what somebody installs by hand. Logins stand in variables, never on a command line or in a file.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storectl_daemon.index_config import IndexSettings


def pip_variables(settings: "IndexSettings") -> dict[str, str]:
    """The project's indexes as pip's variables."""
    default, *extra = (*reversed(settings.indexes),) or ("",)
    found = {
        "PIP_INDEX_URL": default,
        "PIP_EXTRA_INDEX_URL": " ".join(reversed(extra)),
        "PIP_FIND_LINKS": " ".join(settings.find_links),
        "PIP_TRUSTED_HOST": " ".join(sorted(settings.trusted_hosts)),
        "PIP_CERT": settings.ca_bundle or "",
        "PIP_CLIENT_CERT": settings.client_cert or "",
        "PIP_PROXY": settings.proxy or "",
        "PIP_KEYRING_PROVIDER": "subprocess" if settings.keyring else "",
        "PIP_NO_INDEX": "" if default else "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    return {name: value for name, value in found.items() if value}
