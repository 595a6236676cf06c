"""TLS for the connections of a cluster."""

from __future__ import annotations

from typing import Any

from rivergrad.distributed.options import Tls
from rivergrad.errors import InputError


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
                "compute.tls: temporary certificates need the package cryptography; expected it "
                "(pip install 'rivergrad[tls]'), or certificates in ca, cert and key"
            ) from None
    for name in ("ca", "cert", "key"):
        path = getattr(tls, name)
        if not path.is_file():
            raise InputError(f"compute.tls.{name}: {path} is not a file; expected a PEM file")
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
        security.get_listen_args("scheduler")
    except OSError as error:  # ssl.SSLError is one
        raise InputError(f"compute.tls: {error}; expected PEM files that belong together") from None
    return security
