"""Adds the compiled modules to the distribution if EXCHANGE_COMPILE=1. Without it, the package is plain Python."""

import os
import runpy
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup


def compiled_modules() -> list[Extension]:
    """Translate the modules to C, and return what setuptools compiles. Ends the program if it cannot be compiled."""
    compiler = (os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "cc")).split()[0]
    if shutil.which(compiler) is None:
        sys.exit(f"error: there is no C compiler {compiler!r}; install one, for instance: apt install gcc")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        sys.exit("error: the C headers of Python are missing; install them, for instance: apt install python3-dev")
    try:
        from mypyc.build import mypycify
    except ImportError:
        sys.exit("error: mypyc is missing; install it with: pip install 'event-sourced-exchange[dev]'")
    link_packages()
    what = runpy.run_path("exchange/compiled.py")
    sources = [module.replace(".", "/") + ".py" for module in what["MODULES"]]
    return mypycify(sources, group_name=what["LIBRARY"], debug_level="0")


def link_packages() -> None:
    """Link the packages at the top of the tree into `exchange`, where the compiler looks for the modules that it reads.

    A checkout has these links, a source distribution has not.
    """
    for name in ("cli", "journal", "migrations", "snapshots"):
        link = Path("exchange", name)
        if not link.exists():
            link.symlink_to(Path("..", name))


setup(ext_modules=compiled_modules() if os.environ.get("EXCHANGE_COMPILE") == "1" else [])
