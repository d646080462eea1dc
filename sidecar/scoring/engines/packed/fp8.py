"""FP8 matrices: values in e4m3 with a float32 scale for each row, and their product with rows scaled at run time.

A row's largest magnitude becomes 448, the largest value of e4m3. So a value of a row is off by at most a sixteenth of
itself, or by 2^-10 of the scale if it is smaller than 2^-6 of the scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sidecar.scoring.checkpoints.precision import unfit_for_fp8

if TYPE_CHECKING:
    from sidecar.scoring.checkpoints.checkpoint import Placement

E4M3 = torch.float8_e4m3fn
LARGEST = torch.finfo(E4M3).max
# A row of zeros, or nearly so, has this scale: the smallest number that no GPU takes for zero.
SMALLEST_SCALE = torch.finfo(torch.float32).tiny
# Rows and columns that the product's kernels take are multiples of this.
MULTIPLE = 16
# Values that are converted at once: 16 MB in float32.
PART = 2**22


@dataclass(frozen=True, slots=True)
class Fp8Matrix:
    """A matrix of N rows and K columns: `values` (N x K, e4m3), of which each row is multiplied by `scales` (N x 1)."""

    values: torch.Tensor
    scales: torch.Tensor

    @classmethod
    def empty(cls, rows: int, columns: int, *, device: torch.device) -> Fp8Matrix:
        """Allocate a matrix, to be filled by `copy_`."""
        values = torch.empty(rows, columns, dtype=E4M3, device=device)
        return cls(values, torch.empty(rows, 1, dtype=torch.float32, device=device))

    @property
    def shape(self) -> torch.Size:
        """Return N and K."""
        return self.values.shape

    @property
    def nbytes(self) -> int:
        """Return the memory that values and scales take."""
        return self.values.nbytes + self.scales.nbytes

    def __len__(self) -> int:
        """Return N."""
        return len(self.values)

    def __getitem__(self, rows: slice) -> Fp8Matrix:
        """Return a view of some rows."""
        return Fp8Matrix(self.values[rows], self.scales[rows])

    def split(self, rows: Sequence[int]) -> list[Fp8Matrix]:
        """Return views of consecutive parts with these numbers of rows."""
        pairs = zip(*(torch.split(tensor, list(rows)) for tensor in (self.values, self.scales)), strict=True)
        return [Fp8Matrix(values, scales) for values, scales in pairs]

    def copy_(self, matrix: torch.Tensor) -> None:
        """Convert a matrix (N x K) of any floating dtype and device, some rows at a time."""
        rows = max(1, PART // matrix.shape[1])
        parts = (torch.split(tensor, rows) for tensor in (matrix, self.values, self.scales))
        for part, values, scales in zip(*parts, strict=True):
            found_values, found_scales = to_fp8(part.to(values.device).float())
            values.copy_(found_values)
            scales.copy_(found_scales)


def to_fp8(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the values (T x K, e4m3) and scales (T x 1, float32) of rows. NaN and infinity make their row NaN."""
    largest = x.abs().amax(dim=1, keepdim=True).float()
    scales = (largest / LARGEST).clamp(min=SMALLEST_SCALE)
    return (x / scales).to(E4M3, memory_format=torch.contiguous_format), scales


def multiply(x: torch.Tensor, weight: Fp8Matrix, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Return `x` (T x K) times the transposed weight (N x K), plus a bias (N), as `linear` does: T x N in bfloat16."""
    values, scales = to_fp8(x)
    product = torch._scaled_mm(  # noqa: SLF001  the public `nn.functional.scaled_mm` came later
        values, weight.values.t(), scale_a=scales, scale_b=weight.scales.t(), out_dtype=torch.bfloat16
    )
    return product if bias is None else product + bias


def unfit_placement(placement: Placement) -> str | None:
    """Say why FP8 can't be computed at a placement; None if it can."""
    device = placement.torch_device()
    rocm = device.type == "cuda" and torch.version.hip is not None
    reason = unfit_for_fp8("rocm" if rocm else device.type, placement.capability())
    if reason is not None:
        return reason
    if placement.torch_dtype() != torch.bfloat16:
        return f"FP8 goes with the dtypes auto and bfloat16, not with {placement.dtype_name()}"
    return failure(device)


def failure(device: torch.device) -> str | None:
    """Compute a small product, and say how it fails, as it does if this torch has no kernel for the GPU."""
    matrix = Fp8Matrix.empty(MULTIPLE, MULTIPLE, device=device)
    ones = torch.ones(matrix.shape, dtype=torch.bfloat16, device=device)
    matrix.copy_(ones)
    try:
        found = multiply(ones, matrix)
    except RuntimeError as error:
        return f"torch {torch.__version__} can't multiply in FP8 on this GPU ({str(error).partition(chr(10))[0]})"
    right = bool((found == MULTIPLE).all())
    return None if right else f"torch {torch.__version__} multiplies wrongly in FP8 on this GPU"


def unfit_sizes(parts: Mapping[str, tuple[Iterable[int], int]]) -> str | None:
    """Say which matrix (rows of its parts, and columns, by name) FP8's kernels do not take; None if they take all."""
    for name, (rows, columns) in parts.items():
        odd = [size for size in (*rows, columns) if size % MULTIPLE]
        if odd:
            return f"its {name} weights have a size of {odd[0]}, and FP8 needs multiples of {MULTIPLE}"
    return None
