"""Where Daft programs run: in this process, or on a Ray cluster."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ParamSpec, TypeVar

import daft
from daft.exceptions import DaftCoreException

from geomammut.errors import UserError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="steady")


def run_on(ray: str | None) -> None:
    """Let the Daft programs of this process run in it, or on Ray.

    Args:
        ray: None for this process; "local" for a cluster on this machine, with a process a core; "auto" for the
            one that this machine belongs to; or an address, such as `ray://head:10001`.

    Raises:
        UserError: Ray is missing or out of reach, or this process runs Daft elsewhere already.
    """
    if ray is None:
        return
    if find_spec("ray") is None:
        raise UserError("--ray needs Ray; install it with `pip install 'geomammut[ray]'`")
    cluster = import_module("ray")  # an extra of the set-up, and seconds to load
    try:
        if not cluster.is_initialized():
            quiet: dict[str, Any] = {"log_to_driver": False, "include_dashboard": False} if ray == "local" else {}
            cluster.init(address=ray, configure_logging=False, **quiet)
        with suppress(DaftCoreException):  # a runner was chosen before
            daft.set_runner_ray(noop_if_initialized=True)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise UserError(f"no Ray cluster at {ray} ({' '.join(str(error).split())[:200]})") from error
    if daft.get_or_infer_runner_type() != "ray":
        raise UserError("this process runs Daft in itself already; give --ray to its first verb, or start anew")


def steadily(function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Call a function in a thread that stays.

    Daft calls Python from threads that come and go, and PROJ and GDAL keep their state by thread: freed
    with one, it is missed by the next, and the process dies.
    """
    return _threads.submit(function, *args, **kwargs).result()
