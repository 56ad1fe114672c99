"""Which BLAS computes here, of all that a process has loaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import threadpoolctl

from kernelfit.cli import info
from kernelfit.cpu import environment, linked_blas, matrix_product
from kernelfit.cpu.linked_blas import linked_libraries
from kernelfit.runs.identity import versions


def library(name: str, **others: Any) -> SimpleNamespace:
    about = {"user_api": "blas", "version": "1.0", "num_threads": 1, "filepath": f"/lib/lib{name}.so"}
    return SimpleNamespace(**about | {"internal_api": name} | others)


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What other packages have loaded; to be filled."""
    others: list[Any] = []
    own = threadpoolctl.ThreadpoolController().lib_controllers
    monkeypatch.setattr(
        threadpoolctl, "ThreadpoolController", lambda: SimpleNamespace(lib_controllers=[*own, *others])
    )
    return others


def test_libraries_of_other_packages_are_not_of_a_run(
    beside: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, described = versions(), environment.blas()
    assert alone["blas"]
    assert described
    beside += [library("mkl", architecture="SkylakeX"), library("openblas", architecture="SkylakeX")]
    assert versions() == alone
    assert environment.blas() == described
    monkeypatch.setattr(matrix_product, "_WIDE", ("SkylakeX",))
    wide = any(each["architecture"] == "SkylakeX" for each in described)
    assert matrix_product._library_is_wide.__wrapped__() == wide


def test_where_no_one_can_tell_all_libraries_count(
    beside: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = len(linked_libraries())
    beside.append(library("mkl"))
    monkeypatch.setattr(linked_blas, "_file_of", lambda address: None)
    assert len(linked_libraries()) == own + 1


def test_one_that_hands_on_counts_with_all_that_it_may_call(
    beside: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = len(linked_libraries())
    beside += [library("flexiblas"), library("mkl")]
    monkeypatch.setattr(linked_blas, "_file_of", lambda address: "/lib/libflexiblas.so")
    assert len(linked_libraries()) == own + 2


def test_the_library_of_macos_has_the_version_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linked_blas, "_file_of", lambda address: "/System/Library/Frameworks/Accelerate")
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))
    assert versions()["blas"] == "accelerate of macOS 15.1"
    (described,) = environment.blas()
    assert (described["name"], described["version"]) == ("accelerate", "of macOS 15.1")
    assert info.table({**environment.describe(gpu=[]), "blas": [described]})


def test_an_address_of_no_library_has_no_file() -> None:
    assert linked_blas._file_of(0) is None
