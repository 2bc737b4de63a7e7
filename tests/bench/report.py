"""The table, results.json, the part of docs/performance.md that comes from a run, and its plots."""

import json
import os
import platform
import statistics
import subprocess
import time

from goals import CHECKS
from measure import HERE

TOP = os.path.dirname(os.path.dirname(HERE))
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def short(value):
    if value is None:
        return "-"
    if value >= 999_500:
        return f"{value / 1e6:.2f} M"
    if value >= 9_995:
        return f"{value / 1e3:.1f} k"
    if value >= 99.5:
        return f"{value:.0f}"
    return f"{value:.3g}"


def spread(results, cell):
    values = results.get(cell) if cell else []
    if not values:
        return "-"
    if len(values) == 1:
        return short(values[0])
    return f"{short(statistics.median(values))} [{short(min(values))} .. {short(max(values))}]"


def rows(bench):
    """One for each check that was measured: texts, and whether it holds."""
    found = []
    for check in CHECKS:
        value = check.value(bench.results)
        if not bench.wants(check.goal) or value is None:
            continue
        met = check.met(value)
        found.append((check.goal, check.what, spread(bench.results, check.cell),
                      spread(bench.results, check.other), short(value), check.wanted(),
                      "" if met is None else "yes" if met else "NO", check, value))
    return found


HEAD = ("goal", "what", "ipspd", "against", "ratio or value", "wanted", "met")


def table(found):
    lines = [HEAD] + [row[:7] for row in found]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip()
                     for line in lines)


def command(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False,
                              cwd=TOP).stdout.strip()
    except OSError:
        return ""


def machine(bench, began):
    model = [line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
             if line.startswith("model name")]
    versions = [command("redis-server", "--version")] if bench.rivals else []
    return {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime(began)),
        "seconds": round(time.time() - began),
        "cpu": model[0] if model else "unknown",
        "cores": os.cpu_count(),
        "kernel": platform.release().split("-")[0],
        "commit": command("git", "rev-parse", "--short", "HEAD"),
        "changed": bool(command("git", "status", "--porcelain", "--", "src")),
        "quick": bench.quick, "rounds": bench.rounds, "seconds-a-sample": bench.seconds,
        "pool": bench.size,
        "busy-samples": len(bench.results.busy),
        "samples": sum(len(values) for values in bench.results.samples.values()),
        "rivals": [version.split(" sha")[0] for version in versions],
    }


def write(bench, began, document):
    """Whether each check that was measured passes as a gate."""
    found = rows(bench)
    about = machine(bench, began)
    text = table(found)
    print(text)
    for note in bench.results.notes:
        print(f"# {note}")
    print(f"# {about['busy-samples']} of {about['samples']} samples were taken beside a busy neighbour"
          f"; {about['seconds']} s")
    if bench.out:
        with open(os.path.join(bench.out, "table.txt"), "w", encoding="utf-8") as file:
            file.write(text + "\n")
        with open(os.path.join(bench.out, "results.json"), "w", encoding="utf-8") as file:
            json.dump({"machine": about, "cells": bench.results.as_json(),
                       "busy": bench.results.busy, "notes": bench.results.notes,
                       "checks": [{"goal": row[0], "what": row[1], "value": row[8],
                                   "least": row[7].least, "most": row[7].most,
                                   "met": row[7].met(row[8])} for row in found]}, file, indent=1)
        plots(bench, bench.out)
    if document:
        figures(bench, found, about, document)
    for row in found:
        if bench.gate and not row[7].passes(row[8]):
            print(f"# {row[0]}, {row[1]}: {row[4]} is beyond what may be")
    return all(row[7].passes(row[8]) for row in found)


# ---------------------------------------------------------------- the document


def markdown(found):
    lines = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    return "\n".join(lines + ["| " + " | ".join(row[:7]) + " |" for row in found])


def figures(bench, found, about, document):
    """Replaces what stands between the two marks; the words around it are people's."""
    with open(document, encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN)
    after = rest.split(END)[1]
    warning = ""
    busy = about["busy-samples"] > about["samples"] // 10
    if bench.quick or busy or about["rounds"] < 3:
        warning = ("**A quick or noisy run: it shows that the benchmark works, and ratios to within a "
                   "factor of two. Don't quote it.**\n\n")
    marked = "with changes, " if about["changed"] else ""
    text = (f"{warning}{about['date']} UTC, {about['cpu']}, {about['cores']} cores, Linux "
            f"{about['kernel']}; commit {about['commit']}, {marked}pools of {about['pool']:,}, "
            f"{about['rounds']} rounds of {about['seconds-a-sample']:g} s; {about['busy-samples']} of "
            f"{about['samples']} samples beside a busy neighbour. Median [least .. most].\n\n"
            f"{markdown(found)}\n")
    folder = os.path.join(os.path.dirname(document), "performance")
    os.makedirs(folder, exist_ok=True)
    for name, title in plots(bench, folder):
        text += f"\n![{title}](performance/{name})\n"
    with open(document, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}{END}{after}")


# ---------------------------------------------------------------- plots


def plots(bench, folder):
    """[(file, title)]; none without gnuplot, or without their rows."""
    made = []
    rates = [("ipspd", "ipspd"), ("skeleton", "ceiling"), ("redis", "Redis everysec"),
             ("lean", "lean Redis"), ("lpop", "LPOP, no AOF")]
    for place, words in (("two", "two cores"), ("same", "one core")):
        bars = [(title, bench.results.get(f"G1 {who} {place} /s")) for who, title in rates]
        made += bar_plot(folder, f"grants-{place}.svg",
                         f"Grants a second, 64 in flight, in the page cache, {words}", bars)
    bars = [(f"{title} D{depth}", bench.results.get(f"G3 {who} D{depth} /s"))
            for depth in (64, 256, 1024)
            for who, title in (("ipspd", "ipspd"), ("skeleton", "ceiling"), ("redis", "Redis always"))]
    made += bar_plot(folder, "grants-power.svg", "Grants a second, flushed before the answer", bars)
    return made


def bar_plot(folder, name, title, bars):
    bars = [(label, values) for label, values in bars if values]
    if len(bars) < 2:
        return []
    data = "\n".join(f'"{label}" {statistics.median(values)} {min(values)} {max(values)}'
                     for label, values in bars)
    script = f"""set terminal svg size 800,400 font "sans,12" background "white"
set output "{os.path.join(folder, name)}"
set title "{title} (median, least and most)"
set style fill solid 0.6
set boxwidth 0.6
set yrange [0:*]
set format y "%.1s %c"
set grid y
set xtics rotate by -20
unset key
$data << EOD
{data}
EOD
plot $data using 0:2:xtic(1) with boxes lc rgb "#4477aa", \\
     $data using 0:2:3:4 with yerrorbars pt 0 lc rgb "black"
"""
    try:
        done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True, check=False)
    except OSError:
        return []
    return [(name, title)] if done.returncode == 0 else []
