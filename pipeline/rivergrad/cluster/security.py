"""TLS for the connections of a cluster."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

from rivergrad.cluster.options import Tls
from rivergrad.errors import InputError, os_error_text

MESSAGES = 3
"""Turns that each end of a handshake takes at most."""


def make_security(tls: Tls | None) -> Any:
    """Dask's `Security` for certificates that are given or made now; None without TLS.

    A certificate that is made now lives as long as the cluster, and its key only in memory (on Slurm, in files of the
    run's folder of worker logs that only their owner can read).

    Raises:
        InputError: a file is not there or does not fit, or what makes certificates is not installed.
    """
    if tls is None:
        return None
    from distributed.security import Security

    if tls.ca is None or tls.cert is None or tls.key is None:
        try:
            return Security.temporary()
        except ImportError:
            raise InputError(
                "temporary certificates need the package cryptography; expected it "
                "(pip install 'rivergrad[tls]'), or certificates in ca, cert and key",
                key="compute.tls",
            ) from None
    for name in ("ca", "cert", "key"):
        path = getattr(tls, name)
        if not path.is_file():
            raise InputError(f"compute.tls.{name}: {path} is not a file; expected a PEM file")
        try:
            path.open("rb").close()
        except OSError as error:
            raise InputError(
                f"compute.tls.{name}: {os_error_text(error)}; expected a file you can read"
            ) from None
    mode = tls.key.stat().st_mode & 0o777
    if mode & 0o077:
        raise InputError(
            f"{tls.key} has mode {mode:04o}, which others may use; expected 0600 (chmod 600)",
            key="compute.tls.key",
        )
    ca, cert, key = str(tls.ca.absolute()), str(tls.cert.absolute()), str(tls.key.absolute())
    security = Security(
        require_encryption=True,
        tls_ca_file=ca,
        tls_client_cert=cert,
        tls_client_key=key,
        tls_scheduler_cert=cert,
        tls_scheduler_key=key,
        tls_worker_cert=cert,
        tls_worker_key=key,
    )
    try:
        for role in ("scheduler", "worker", "client"):
            security.get_connection_args(role)
        _shake_hands(
            security.get_listen_args("scheduler")["ssl_context"],
            security.get_connection_args("worker")["ssl_context"],
        )
    except ssl.SSLCertVerificationError as error:
        raise InputError(
            f"{tls.cert}: {error.verify_message}; expected one in its time, signed by {tls.ca}",
            key="compute.tls.cert",
        ) from None
    except OSError as error:  # ssl.SSLError is one
        raise InputError(f"{error}; expected PEM files that belong together", key="compute.tls") from None
    return security


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Let both ends of a connection meet in memory: what does not fit is known before any process waits for another."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)]
    for _ in range(MESSAGES):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
