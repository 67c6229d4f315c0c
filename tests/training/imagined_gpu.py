"""A GPU for machines without one: a device with a name of its own, whose work is done by the CPU.

What a model computes there is what it computes on the CPU, but for the rules of a second device: a
tensor lies on one of the two, no operation takes tensors of both but a copy, NumPy and compiled
kernels cannot read the memory, and `Tensor.device` says where a tensor is. So code that forgets the
device of a tensor fails here as it does with CUDA. Autocast casts the operations that it casts on
CUDA; what torch hands to cuDNN becomes float16, as it does there.

What it does not show: speed, memory, and everything that asks for a device named "cuda".
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._decomp import decompositions
from torch.utils import backend_registration
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "imagined"
_COPIES = ("aten::_to_copy", "aten::copy_")
_IN_BF16 = ("linear", "matmul", "mm", "bmm", "addmm", "baddbmm")
_IN_FP32 = ("exp", "log", "softmax.int", "log_softmax.int", "sum", "sum.dim_IntList", "cumsum")
_BY_CUDNN: dict[Any, Callable[..., Any]] = {
    torch.lstm: decompositions.lstm_impl,
    torch.gru: decompositions.gru_impl,
    torch.rnn_tanh: decompositions.rnn_tanh_input,
    torch.rnn_relu: decompositions.rnn_relu_input,
}


class OnGpu(Tensor):
    """A tensor on the imagined GPU; `inner` holds its values, on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnGpu":
        """Wrap `inner`."""
        wrapper = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )
        wrapper.inner = inner
        return wrapper

    def __repr__(self) -> str:
        return f"OnGpu({self.inner})"

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do what a CUDA tensor can and a wrapper cannot, and hand sequences to cuDNN."""
        kwargs = kwargs or {}
        if func in (Tensor.data_ptr, Tensor.tolist):
            return func(args[0].inner)
        with torch._C.DisableTorchFunctionSubclass():
            if func in _BY_CUDNN:
                if torch.is_autocast_enabled(NAME):
                    args = _cast(args, torch.float16)
                return _BY_CUDNN[func](*args, **kwargs)
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run one operation of torch on the CPU, if all its tensors are on the GPU."""
        kwargs, name = dict(kwargs or {}), func._schema.name
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        strangers = [tensor for tensor in tensors if not isinstance(tensor, OnGpu) and tensor.dim()]
        if strangers and name not in _COPIES:
            raise RuntimeError(f"{name}: some tensors are on the GPU and some on the CPU")
        if name == "aten::copy_" and not isinstance(args[0], OnGpu):
            return args[0].copy_(args[1].inner)
        inner_kwargs = tree_map(_inner, kwargs)
        stays = torch.device(kwargs.get("device") or NAME).type == NAME
        if "device" in kwargs:
            inner_kwargs["device"] = torch.device("cpu")
        result = func(*tree_map(_inner, args), **inner_kwargs)
        if not stays:
            return result
        result = tree_map(lambda leaf: OnGpu(leaf) if isinstance(leaf, Tensor) else leaf, result)
        return return_and_correct_aliasing(func, args, kwargs, result)


def _inner(leaf: object) -> object:
    return leaf.inner if isinstance(leaf, OnGpu) else leaf


def _cast(arguments: Any, dtype: torch.dtype) -> Any:
    """Return the arguments with those tensors in `dtype` that autocast would cast."""

    def cast(leaf: object) -> object:
        is_cast = isinstance(leaf, OnGpu) and leaf.is_floating_point()
        return leaf.to(dtype) if is_cast and leaf.dtype != torch.float64 else leaf

    return tree_map(cast, arguments)


class _Module(backend_registration._DummyBackendModule):
    """What torch expects of `torch.imagined`."""

    def __init__(self) -> None:
        self.restored: list[Tensor] = []
        """Every state that was set."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Return what autocast may cast to."""
        return [torch.bfloat16, torch.float16]

    def get_rng_state(self, device: torch.device) -> Tensor:
        """Return the state of the generator; it draws by that of the CPU, and has one byte more."""
        return torch.cat([torch.get_rng_state(), torch.ones(1, dtype=torch.uint8)])

    def set_rng_state(self, state: Tensor, device: torch.device) -> None:
        """Restore the state of the generator."""
        torch.set_rng_state(state[:-1])
        self.restored.append(state)


@cache
def _register() -> list[torch.library.Library]:
    """Register the device with torch, once and for all in a process.

    From then on `torch.accelerator` names it, and `pin_memory` would look for it.
    """
    backend_registration._setup_privateuseone_for_python_backend(NAME, _Module())
    operations = torch.library.Library("aten", "IMPL")
    everything = torch.library.Library("_", "IMPL")
    empty, strided = (partial(_allocate, make) for make in (torch.empty, torch.empty_strided))
    operations.impl("empty.memory_format", empty, "PrivateUse1")
    operations.impl("empty_strided", strided, "PrivateUse1")
    operations.impl("_copy_from", _copy_from, "PrivateUse1")
    everything.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for names, dtype in ((_IN_BF16, torch.bfloat16), (_IN_FP32, torch.float32)):
        for name in names:
            packet, _, overload = name.partition(".")
            operation = getattr(getattr(torch.ops.aten, packet), overload or "default")
            operations.impl(name, partial(_autocast, operation, dtype), "AutocastPrivateUse1")
    return [operations, everything]  # the registrations end with them


def _allocate(make: Callable[..., Tensor], *sizes: Any, dtype: Any = None, **_: Any) -> Tensor:
    return OnGpu(make(*sizes, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    _inner(target).copy_(_inner(source))
    return target


def _autocast(operation: Any, dtype: torch.dtype, /, *args: Any, **kwargs: Any) -> Any:
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)
    with torch._C._ExcludeDispatchKeyGuard(key):
        return operation(*_cast(args, dtype), **kwargs)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Return the imagined device; gradients are computed in the thread that asks for them."""
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch takes no device that is written in Python")
    _register()
    guards: list[contextlib.AbstractContextManager[None]] = []

    def enter(_: object) -> None:
        guards.append(torch.no_grad())
        guards[-1].__enter__()

    def leave(_: object, *error: object) -> None:
        guards.pop().__exit__(*error)

    # Tensors of inference mode cannot be wrapped.
    monkeypatch.setattr(torch.inference_mode, "__enter__", enter)
    monkeypatch.setattr(torch.inference_mode, "__exit__", leave)
    # A weight that two modules share stays one when it is moved, as it does with CUDA.
    torch.__future__.set_swap_module_params_on_conversion(True)
    with torch.autograd.set_multithreading_enabled(False):
        yield torch.device(NAME, 0)
    torch.__future__.set_swap_module_params_on_conversion(False)
