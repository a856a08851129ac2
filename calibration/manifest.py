"""The manifest of a trained engine, written from what made it. The judge adds its tables below `# judged`."""

from __future__ import annotations

import hashlib

from engines.export import state_shapes
from engines.nets import Clarity, Upscale
from engines.recipes import Recipe

VERSION = "1"
TASKS = {
    "ultrasound": "Speckle, noise, haze and interference reduction for B-mode ultrasound; causal and recurrent",
    "fluoroscopy": "Quantum-noise, lag and flicker reduction for low-dose fluoroscopy; causal and recurrent",
    "superres": "Enlargement by two for display",
}
LIMITS = {
    "ultrasound": "Trained on simulated B-mode alone. Not for Doppler, elastography or measurement; not a diagnosis.",
    "fluoroscopy": "Trained on simulated fluoroscopy alone. Not for subtraction or measurement; not a diagnosis.",
    "superres": "Trained on simulated pictures alone. For display, not for measurement; not a diagnosis.",
}


def manifest_text(recipe: Recipe, net: Clarity | Upscale, model: bytes, twin: bytes) -> str:
    family = recipe.name.removesuffix(f"-{recipe.size}")
    modalities = ", ".join(f'"{name}"' for name in recipe.modalities)
    lines = [
        f"# Written by `python -m calibration.quantize {recipe.name}`.",
        "contract = 1",
        f'name = "{recipe.name}"',
        f'family = "{family}"',
        f'size = "{recipe.size}"',
        f'version = "{VERSION}"',
        f'task = "{TASKS[recipe.task]}"',
        f"modalities = [{modalities}]",
        'model = "model.onnx"',
        f'sha256 = "{hashlib.sha256(model).hexdigest()}"',
        'fp32 = "fp32.onnx"',
        f'fp32_sha256 = "{hashlib.sha256(twin).hexdigest()}"',
        'precision = "int8"',
        f"multiple = {net.multiple}",
        f"scale = {2 if recipe.task == 'superres' else 1}",
        f"kmac_per_px = {net.kmac_per_px():.2f}",
        'licence = "Apache-2.0"',
        f'limits = "{LIMITS[recipe.task]}"',
    ]
    for name, shape in (state_shapes(net) if isinstance(net, Clarity) else {}).items():
        dims = ", ".join(f'"{dim}"' if isinstance(dim, str) else str(dim) for dim in shape)
        lines += ["", "[[state]]", f'name = "{name}"', f"shape = [{dims}]"]
    return "\n".join(lines) + "\n"
