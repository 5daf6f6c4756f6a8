"""`acexp export`: writes a trained policy as ONNX, with a model card."""

from __future__ import annotations

from pathlib import Path

from acexp.commands.arguments import Arguments
from acexp.commands.screen import console_for_tables, relative
from acexp.commands.which import add_which
from acexp.export import batched
from acexp.export import export as export_run
from acexp.sweeps.sweep_directory import require_one_run


def export(arguments: list[str]) -> int:
    """Export the policy of the run in the directory that is given."""
    parser = Arguments(prog="acexp export", description="Write a run's policy as ONNX.")
    parser.add_argument("directory", type=Path, help="the directory of a run")
    parser.add_argument("--out", type=Path, help="where to write the files (the run's directory)")
    add_which(parser)
    parser.add_argument("--allow-plugins", action="store_true", help="import the modules that the run's config names")
    options = parser.parse_args(arguments)
    directory: Path = options.directory.resolve()
    require_one_run(directory, "One run is exported at a time")
    out = None if options.out is None else options.out.resolve()
    exported = export_run(directory, out, options.which, allow_plugins=options.allow_plugins)
    graph = exported.graph
    lines = [f"{relative(exported.model)}: {len(graph.content):,} bytes, ONNX opset {graph.opset}"]
    for kind, ports in (("input", graph.inputs), ("output", graph.outputs)):
        lines += [f"  {kind:<7} {port.name}: {port.dtype} {batched(port)}" for port in ports]
    lines += [
        f"  largest difference of `{graph.outputs[1].name}` from torch: {exported.difference:.1e}, "
        f"over {exported.compared} real observations",
        relative(exported.card),
    ]
    console_for_tables().print("\n".join(lines), markup=False)
    return 0
