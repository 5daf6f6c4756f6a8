"""Export of a trained policy for other programs: traced to ONNX, checked against torch, described on a card."""

from acexp.export.card import batched
from acexp.export.export import CARD, MODEL, Exported, export

__all__ = ["CARD", "MODEL", "Exported", "batched", "export"]
