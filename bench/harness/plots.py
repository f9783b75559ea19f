"""Plots: one SVG for each series, in one style."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .peers import CAUSEWAY, Peer, members

if TYPE_CHECKING:
    from pathlib import Path

    from .series import Point, Results, Series

INK, FAINT, GRID = "#1c2330", "#6b7483", "#e6e9ee"
COLOURS = {
    CAUSEWAY: "#0b62d6",
    "exercise": "#9aa3b0",
    "tuned": "#e08a1e",
    "nginx-exercise": "#9aa3b0",
    "nginx-tuned": "#1f9d63",
    "haproxy": "#e08a1e",
    "caddy": "#a457c4",
    "pingora": "#c4453c",
}
LABELS = {
    "per_second": "requests per second",
    "p50": "p50, ms",
    "p99": "p99, ms",
    "p999": "p99.9, ms",
    "cpu": "CPU per request, µs",
}
PANEL = (4.3, 3.3)
"""Inches of one panel of a curve."""
WHOLE = 100
"""From here on numbers are written without decimals."""


def write(results: Results, out: Path) -> dict[str, str]:
    """Draw every series; return file names by series."""
    import matplotlib as mpl  # noqa: PLC0415  not needed for anything else, nor by tests

    mpl.use("svg")
    mpl.rcParams.update(
        {
            "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.labelcolor": FAINT,
            "axes.edgecolor": GRID, "xtick.color": FAINT, "ytick.color": FAINT, "axes.titlesize": 9.5,
            "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False,
            "axes.spines.right": False, "axes.grid": True, "grid.color": GRID, "axes.axisbelow": True,
            "svg.hashsalt": "causeway", "figure.facecolor": "white",
        }
    )  # fmt: skip
    written = {}
    for series in results.series:
        draw = curves if series.axis else bars
        picture = draw(series)
        if picture is not None:
            name = f"{series.name}.svg"
            picture.savefig(out / name, metadata={"Date": None})
            written[series.name] = name
    return written


def place(series: Series, x: float) -> str:
    """Write a value of x as its axis shows it."""
    if series.axis and "bytes" in series.axis:
        for size, unit in ((2**20, "MiB"), (2**10, "KiB")):
            if x >= size:
                return f"{x / size:g} {unit}"
    return f"{x:,.0f}" if series.axis == "connections" else short(x)


def short(value: float, _: object = None) -> str:
    """Write a number shortly: 950, 1.5k, 12k, 1M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def exact(value: float) -> str:
    """Write a number with at least three digits."""
    return f"{value:,.0f}" if value >= WHOLE else f"{value:.3g}"


def between_decades(value: float, _: object = None) -> str:
    """Label 2 and 5 of every decade."""
    return short(value) if f"{value:e}"[0] in "25" else ""


def bars(series: Series) -> Any:  # noqa: ANN401  matplotlib is only there at run time
    """Draw requests/s, p99 and CPU per request of every peer side by side."""
    from matplotlib import pyplot  # noqa: PLC0415

    found = [peer for peer in reversed(members(series.kind)) if (p := series.point(peer.key)) and p.counts()]
    if not found:
        return None
    points = [point for peer in found if (point := series.point(peer.key))]
    if points[0].spread("held.memory"):
        return None  # a table of two columns says it
    figure, panels = pyplot.subplots(1, 3, figsize=(12, 1.35 + 0.42 * len(found)), sharey=True, layout="constrained")
    colours = [COLOURS[peer.key] for peer in found]
    for axes, metric in zip(panels, ("per_second", "p99"), strict=False):
        _bar(axes, points, colours, metric)
    _cpu_bar(panels[2], points, colours)
    panels[0].set_yticks(range(len(found)), [peer.label for peer in found])
    for label, peer in zip(panels[0].get_yticklabels(), found, strict=True):
        label.set(color=INK, fontweight="bold" if peer.key == CAUSEWAY else "normal")
    for axes in panels:
        axes.grid(visible=False)
        axes.tick_params(left=False, bottom=False, labelbottom=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.margins(x=0.22)
    _headings(figure, series)
    return figure


def _bar(axes: Any, points: list[Point], colours: list[str], metric: str) -> None:  # noqa: ANN401
    spreads = [point.spread(metric) for point in points]
    axes.set_title(LABELS[metric] + (" (more is better)" if metric == "per_second" else " (less is better)"))
    for row, (spread, colour) in enumerate(zip(spreads, colours, strict=True)):
        if spread is None:
            continue
        axes.barh(row, spread.median, color=colour, height=0.62)
        axes.plot([spread.q1, spread.q3], [row, row], color=INK, linewidth=1.2, solid_capstyle="butt")
        text = f"  {exact(spread.median)}"
        axes.text(max(spread.median, spread.q3), row, text, va="center", color=INK)


def _cpu_bar(axes: Any, points: list[Point], colours: list[str]) -> None:  # noqa: ANN401
    """Stack the front's and the application's time; a proxy alone has its user and system time."""
    axes.set_title("CPU per request, µs (less is better)")
    both = any(point.median("cpu.app") for point in points)
    parts = ("cpu.front", "cpu.app") if both else ("user.front", "system.front")
    for row, (point, colour) in enumerate(zip(points, colours, strict=True)):
        left = 0.0
        for metric, alpha in zip(parts, (1.0, 0.5), strict=True):
            value = point.median(metric)
            if value:
                axes.barh(row, value, left=left, color=colour, alpha=alpha, height=0.62, linewidth=0)
                left += value
        axes.text(left, row, f"  {exact(left)}", va="center", color=INK)
    key = f"dark: {'proxy' if both else 'user'}, light: {'application' if both else 'system'}"
    axes.text(0, -0.02, key, transform=axes.transAxes, va="top", color=FAINT, fontsize=7.5)


def curves(series: Series) -> Any:  # noqa: ANN401  matplotlib is only there at run time
    """Draw how figures change along x, a line with its interquartile band for each peer."""
    from matplotlib import pyplot  # noqa: PLC0415
    from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: PLC0415

    found = [peer for peer in members(series.kind) if series.curve(peer.key)]
    if not found:
        return None
    by_rate = (series.axis or "").startswith("rate")
    metrics = ("p50", "p99", "p999") if by_rate else ("per_second", "p99", "cpu")
    places = sorted({point.x for point in series.points if point.x is not None})
    figure, panels = pyplot.subplots(1, 3, figsize=(PANEL[0] * 3, PANEL[1] + 0.75), layout="constrained")
    for axes, metric in zip(panels, metrics, strict=True):
        for peer in found:
            _line(axes, series.curve(peer.key), places, peer, metric)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(short))
        axes.yaxis.set_minor_formatter(NullFormatter())
        low, high = axes.get_ylim()
        if high / low < 30:  # noqa: PLR2004  less than a decade and a half: label within decades too
            axes.yaxis.set_minor_formatter(FuncFormatter(between_decades))
        axes.set_xticks(range(len(places)), [place(series, x) for x in places])
        axes.set_xlim(-0.25, len(places) - 0.75)
        axes.set_xlabel((series.axis or "").replace("[", "(").replace("]", ")"))
        axes.set_title(
            LABELS[metric] + (" (proxy" + (" + app" if series.kind == "stack" else "") + ")" if metric == "cpu" else "")
        )
        axes.grid(visible=True, axis="y", which="major")
        axes.grid(visible=False, axis="x")
        axes.tick_params(length=0, which="both")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    _headings(figure, series)
    return figure


def _line(axes: Any, points: list[Point], places: list[float], peer: Peer, metric: str) -> None:  # noqa: ANN401
    names = ("cpu.front", "cpu.app") if metric == "cpu" else (metric,)
    rows = []
    for point in points:
        spreads = [spread for name in names if (spread := point.spread(name))]
        if spreads and point.x is not None:
            x = places.index(point.x)
            rows.append((x, *(sum(getattr(s, part) for s in spreads) for part in ("median", "q1", "q3"))))
        elif point.x is not None:
            # Invalid: a cross at the foot of the panel.
            axes.plot(
                places.index(point.x),
                0.02,
                "x",
                color=COLOURS[peer.key],
                transform=axes.get_xaxis_transform(),
            )
    ours = peer.key == CAUSEWAY
    style = {"color": COLOURS[peer.key], "zorder": 3 if ours else 2}
    x, median, q1, q3 = zip(*rows, strict=True) if rows else ((), (), (), ())
    axes.plot(x, median, "o-", markersize=4, linewidth=2.4 if ours else 1.7, label=peer.label, **style)
    axes.fill_between(x, q1, q3, alpha=0.16, linewidth=0, **style)


def _headings(figure: Any, series: Series) -> None:  # noqa: ANN401
    kind = "Whole stack" if series.kind == "stack" else "Proxy alone"
    complete = series.kind == "tls" or series.title.startswith(kind)
    title = series.title if complete else f"{kind}: {series.title.lower()}"
    figure.suptitle(title, x=0.008, ha="left", fontsize=12.5, fontweight="bold")
