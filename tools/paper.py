#!/usr/bin/env python3
"""paper.py DIR PUBLISHED: DIR/paper.html and DIR/paper.tex of the sweeps DIR/toy, digits, mnist, cifar10, celeba that are there.

Tables in the layout of the study (Franzese et al., Entropy 2023, 25(4), 633), ours beside the numbers of PUBLISHED, a CSV file.
Every number of ours is one of a sweep's: the last column of its row says where it stands, the head of its column which one it is.
"""
import base64
import collections
import csv
import html
import json
import os
import sys

# ---- what the study shows --------------------------------------------------------------------------------

# A column of ours: the columns of sweep.csv with the number and with the half width of its interval, or None.
Column = collections.namedtuple("Column", "head number half form")
# A column of published numbers.
Published = collections.namedtuple("Published", "head number")
# Ours of what this engine does not measure.
Missing = collections.namedtuple("Missing", "head")

NATS = Column("ELBO, nats", "elbo_nats", "elbo_ci95_nats", "%.3f")
KL = Column("KL(p_T, start), nats", "kl_prior_nats", "kl_prior_ci95_nats", "%.2g")
BOUND = Column("bound, bits/dim", "bpd", "bpd_ci95", "%.3f")
ODE = Column("ODE, bits/dim", "ode_bpd", "ode_bpd_ci95", "%.3f")
ODE_NFE = Column("NFE, ODE", "ode_nfe", None, "%.0f")
NFE = Column("NFE, sampler", "nfe", None, "%.0f")
FRECHET = Column("Fréchet, not FID", "frechet", "frechet_ci95", "%.3f")
FID = Missing("FID")
FID_THEN, BPD_THEN, NFE_THEN = Published("FID", "fid"), Published("bits/dim", "bpd"), Published("NFE", "nfe")

Table = collections.namedtuple("Table", "caption columns")
LIKELIHOOD = ("Bits per dimension and evaluations of the ODE against T, without an auxiliary density (from N(0, I)) and with one; "
              "the study's is a Glow.")
SAMPLES = ("Samples: distances and bits per dimension against network evaluations. The Fréchet distance is one of Gaussians fitted to "
           "{features}, no FID, and comparable with no FID; FID is not measured here.")

Study = collections.namedtuple("Study", "title about tables charts")
CHARTS = ["bound", "terms", "profile", "cost"]
STUDIES = {
    "toy": Study("Toy: a mixture on the line", "The mixture is of this engine's choosing, and no number published for the study's toy is "
                 "known here.", [Table("The bound against T, and how far the start density is from p_T.",
                                       [NATS, BOUND, KL, ODE, ODE_NFE])],
                 ["bound", "profile", "decomposition", "samples_1d"]),
    "digits": Study("Digits, 8x8", "The study has no such data set: there is nothing published beside it. Tables are in the layout "
                    "of its MNIST and CIFAR-10.", [Table(LIKELIHOOD, [BOUND, ODE, ODE_NFE]),
                                                   Table(SAMPLES, [FRECHET, FID, BOUND, NFE])], CHARTS),
    "mnist": Study("MNIST", "Network, training and treatment of levels are this engine's (configs/paper/mnist.yaml), not the study's.",
                   [Table(LIKELIHOOD, [BOUND, ODE, ODE_NFE, BPD_THEN, NFE_THEN]), Table(SAMPLES, [FRECHET, FID, BOUND, NFE])], CHARTS),
    "cifar10": Study("CIFAR-10", "The network is score_sde's DDPM++ (configs/paper/cifar10.yaml); the training is this engine's.",
                     [Table(SAMPLES, [FRECHET, FID, BOUND, ODE, NFE, FID_THEN, BPD_THEN, NFE_THEN])], CHARTS),
    "celeba": Study("CelebA, 64x64", "No number published for it is known here.",
                    [Table(SAMPLES, [FRECHET, FID, BOUND, ODE, NFE, FID_THEN, BPD_THEN, NFE_THEN])], CHARTS),
}
STARTS = {"normal": "N(0, I)", "gaussian": "Gaussian of the data", "dpmixture": "Dirichlet-process mixture", "glow": "Glow",
          "glow_all": "one Glow for all T", "mixture": "the exact density"}
WITHOUT, WITH = "normal", "glow"  # the study's starts, without auxiliary density and with it
CHART_CAPTIONS = {
    "bound": "The bound against T, and what each T loses against the best one, with bands that hold at all T at once.",
    "terms": "The terms of the bound against T.",
    "profile": "Held-out error of the network and of the starts over time: where two lines cross, the bound is the best.",
    "cost": "What samples cost and how far they are from held-out data.",
    "decomposition": "What the bound loses: by the score, G(T), and by the start density.",
    "samples_1d": "Samples by T (columns) and start density (rows), held-out data as the line.",
}
DOUBTS = [
    "The published columns are quoted from memory of the literature, not re-read, and were confirmed nowhere: they show the shape to "
    "expect and are no reference.",
    "Of CIFAR-10's three FID with the auxiliary density (here 3.72, 5.44, 14.38 at T = 0.6, 0.4, 0.2) a survey (Cao et al., "
    "table 6) has the last two exchanged (3.72, 14.38, 5.44 at 600, 400, 200 evaluations). Which is right is not known here.",
    "Published NFE are taken for evaluations of the ODE on MNIST, and for steps of the SDE on CIFAR-10; ours of the SDE count the last "
    "denoising step too.",
    "Ours: every row is of one training and one seed unless the table of T* counts more; intervals are 95 %, over held-out data or images, "
    "and cover no second training. The bound and the ODE's bits per dimension are of two models and two treatments of levels: neither has "
    "to be the smaller, and which of them is the published one is not known here.",
]
INTRODUCTION = ("Score-based diffusion with a diffusion time T of less than 1, started from N(0, I) or from an auxiliary density fitted "
                "at T, in the layout of Franzese et al., How Much Is Enough? A Study on Diffusion Times in Score-Based Generative "
                "Models, Entropy 2023, 25(4), 633. Every number of ours is one of a sweep's: the last cell of its line gives the row of "
                "sweep.csv, 1 being the line below the head, or for optimal T the entry of sweep.json's findings, from 0; the small "
                "print of its head gives the column. A dash is a number that is not known.")

# ---- what was measured -----------------------------------------------------------------------------------

# A cell: text, and where it comes from ("" if it is no number of ours).
Cell = collections.namedtuple("Cell", "text source")
Grid = collections.namedtuple("Grid", "caption heads rows")  # heads: (words, small print)
DASH = "—"


def fail(message):
    print("tools/paper.py: " + message, file=sys.stderr)
    sys.exit(1)


def read_published(path):
    with open(path, encoding="utf-8") as file:
        lines = csv.DictReader(line for line in file if not line.startswith("#"))
        return {(line["study"], float(line["T"]), line["auxiliary"]): line for line in lines}


def read_rows(path):
    """(number of the row, row) of the network with the sampler's own steps: one for each start and T."""
    try:
        with open(path, encoding="utf-8") as file:
            rows = list(enumerate(csv.DictReader(file), 1))
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    if not rows:
        fail(f"{path}: has no rows")
    first = rows[0][1]
    return [(i, row) for i, row in rows if all(row[key] == first[key] for key in ("score", "sampler", "budget"))]


def ours(column, number, row):
    if not row[column.number]:
        return Cell(DASH, "")
    text, source = column.form % float(row[column.number]), f"sweep.csv, row {number}, column {column.number}"
    if column.half and row[column.half]:
        text, source = f"{text} ± {column.form % float(row[column.half])}", f"{source} ± {column.half}"
    return Cell(text, source)


def cell(column, number, row, then):
    if isinstance(column, Column):
        return ours(column, number, row)
    known = isinstance(column, Published) and then.get(column.number)
    return Cell(known or DASH, "")


def head(column):
    if isinstance(column, Column):
        return column.head, column.number + (" ± " + column.half if column.half else "")
    return column.head, "published" if isinstance(column, Published) else "not measured"


def table(study, wanted, rows, published):
    """Starts in the sweep's order, in each T descending."""
    order = list(dict.fromkeys(row["start"] for _, row in rows))
    lines = []
    for number, row in sorted(rows, key=lambda r: (order.index(r[1]["start"]), -float(r[1]["T"]))):
        auxiliary = {WITHOUT: "no", WITH: "yes"}.get(row["start"])
        then = published.get((study, float(row["T"]), auxiliary), {})
        lines.append([Cell(STARTS.get(row["start"], row["start"]), ""), Cell(row["T"], "")] +
                     [cell(column, number, row, then) for column in wanted.columns] + [Cell(str(number), "")])
    caption = wanted.caption.format(features=rows[0][1]["frechet_features"])
    return Grid(caption, [("start", ""), ("T", "")] + [head(c) for c in wanted.columns] + [("row", "sweep.csv")], lines)


def findings(results):
    """T* and the best T of each start, from sweep.json."""
    lines = []
    for i, f in enumerate(results["findings"]):
        if f["score"] != results["scores"][0]:
            continue

        def range_of(name, f=f, i=i):
            low, high = f[name + "_low"], f[name + "_high"]
            return Cell(f"{f[name]:.2f} ({low:.2f} to {high:.2f})", f"sweep.json, findings[{i}].{name}, {name}_low, {name}_high")

        lines.append([Cell(STARTS.get(f["start"], f["start"]), ""), range_of("T_star"), range_of("T_best"),
                      Cell("yes" if f["tie"] else "no", f"sweep.json, findings[{i}].tie"),
                      Cell(str(f["seeds"]), f"sweep.json, findings[{i}].seeds"), Cell(str(i), "")])
    caption = (f"Optimal T. T*: the smallest T whose bound is within {results['findings'][0]['tolerance_bpd']:g} bits/dim of the best one's; best T: where the bound is the "
               "best; each with its 95 % confidence set. A tie: no two T are told apart.")
    heads = [("start", ""), ("T*", "T_star"), ("best T", "T_best"), ("tie", "tie"), ("trainings", "seeds"), ("entry", "sweep.json")]
    return Grid(caption, heads, lines)


def provenance(results):
    size = "x".join(f"{results[key]:g}" for key in ("h", "w", "c"))
    return (f"tstar {results['version']}, {results['device']}, {results['date']}: {results['train_count']} training data of {size}, "
            f"{results['test_count']} held out, {results['train_steps']} training steps, {results['parameters']} parameters, "
            f"{results['steps_per_unit']:g} sampler steps a unit of time, seed {results['seed']}.")


def pictures(folder, name, rows):
    """[(start, [(T, file)])] of the sample grids that the sweep drew, T descending."""
    lines = {}
    for _, row in sorted(rows, key=lambda r: -float(r[1]["T"])):
        file = f"{name}/grids/T{float(row['T'])}_{row['start']}_{row['score']}_{row['sampler']}.png"
        if os.path.exists(os.path.join(folder, file)):
            lines.setdefault(row["start"], []).append((row["T"], file))
    return list(lines.items())


PICTURES = "Samples of the sweep's first sampler, its own steps: by start density (rows) and T."
Section = collections.namedtuple("Section", "name title about grids charts pictures command provenance")


def section(folder, name, published):
    path = os.path.join(folder, name)
    try:
        with open(os.path.join(path, "sweep.json"), encoding="utf-8") as file:
            results = json.load(file)
    except (OSError, ValueError) as error:
        fail(f"{path}/sweep.json: {error}")
    study, rows = STUDIES[name], read_rows(os.path.join(path, "sweep.csv"))
    grids = [findings(results)] + [table(name, wanted, rows, published) for wanted in study.tables]
    charts = [chart for chart in study.charts if os.path.exists(os.path.join(path, "charts", chart + ".svg"))]
    return Section(name, study.title, study.about, grids, charts, pictures(folder, name, rows), results["command"], provenance(results))


# ---- paper.html ------------------------------------------------------------------------------------------

STYLE = """
:root{color-scheme:light}
body{max-width:70rem;margin:0 auto;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff}
h1{font-size:1.6rem;line-height:1.25}h2{margin-top:2.5rem;border-top:1px solid #9aa3ad;padding-top:1rem}
.scroll{overflow-x:auto;margin:0 0 1rem}.caption{margin:1.2rem 0 .3rem}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .6rem;text-align:right;white-space:nowrap}th:first-child,td:first-child{text-align:left}
th{vertical-align:bottom;border-bottom:1px solid #1b1f24}th small{display:block;font-weight:normal;color:#5b636d}
tr.begin td{border-top:1px solid #d9dde2}table{border-bottom:1px solid #1b1f24}
.published{background:#f6f7f8;color:#5b636d}td[title]{cursor:help}
figure{margin:1.2rem 0;overflow-x:auto}figure img{display:block;width:100%;min-width:40rem;height:auto}
.caption,figcaption,.soft{color:#5b636d;font-size:.9rem}
.pictures table{border:0}.pictures td,.pictures th{border:0;text-align:center;vertical-align:middle;white-space:normal}
.pictures img{width:9rem;min-width:0;image-rendering:pixelated}
.doubts{border-left:3px solid #8a4b00;background:#fff6e8;padding:.6rem 1rem .6rem 2rem;margin:1rem 0}
code{font-size:.8rem;overflow-wrap:anywhere}
@media print{body{max-width:none;padding:0;font-size:10pt}.scroll,figure{overflow:visible}figure img{min-width:0}.pictures img{width:30mm}
figure,tr{break-inside:avoid}h2,.caption{break-after:avoid}table{font-size:7pt}th,td{padding:.1rem .3rem}}
"""


def html_grid(grid):
    small = [note for _, note in grid.heads]
    kind = ['class="published"' if note == "published" else "" for note in small]
    lines = [f'<p class="caption">{html.escape(grid.caption)}</p>', '<div class="scroll"><table>', "<thead><tr>"]
    for (words, note), mark in zip(grid.heads, kind):
        lines.append(f"<th {mark}>{html.escape(words)}<small>{html.escape(note).replace(' ± ', '<br>± ')}</small></th>")
    lines.append("</tr></thead><tbody>")
    before = None
    for row in grid.rows:
        lines.append('<tr class="begin">' if row[0].text != before else "<tr>")
        before = row[0].text
        for entry, mark in zip(row, kind):
            title = f'title="{html.escape(entry.source)}"' if entry.source else ""
            lines.append(f"<td {mark} {title}>{html.escape(entry.text)}</td>")
        lines.append("</tr>")
    return lines + ["</tbody></table></div>"]


def embedded(folder, file, kind):
    with open(os.path.join(folder, file), "rb") as opened:
        return f"data:image/{kind};base64,{base64.b64encode(opened.read()).decode('ascii')}"


def html_pictures(folder, lines):
    if not lines:
        return []
    made = ['<figure class="pictures"><table>']
    for start, files in lines:
        words = html.escape(STARTS.get(start, start))
        made.append(f"<tr><th>{words}</th>" + "".join(
            f'<td>T = {T}<img alt="samples from {words} at T = {T}" src="{embedded(folder, file, "png")}"></td>' for T, file in files) + "</tr>")
    return made + [f"</table><figcaption>{html.escape(PICTURES)}</figcaption></figure>"]


def html_page(folder, sections):
    lines = ['<!DOCTYPE html>', '<html lang="en"><head><meta charset="utf-8">',
             '<meta name="viewport" content="width=device-width,initial-scale=1"><title>How much is enough?</title>',
             f"<style>{STYLE}</style></head><body>", "<h1>How much diffusion time is enough? The study's tables, measured again</h1>",
             f"<p>{html.escape(INTRODUCTION)}</p>", '<ul class="doubts">']
    lines += [f"<li>{html.escape(doubt)}</li>" for doubt in DOUBTS] + ["</ul>"]
    for s in sections:
        lines += [f'<section id="{s.name}"><h2>{html.escape(s.title)}</h2>', f"<p>{html.escape(s.about)}</p>"]
        for grid in s.grids:
            lines += html_grid(grid)
        for chart in s.charts:
            caption, image = html.escape(CHART_CAPTIONS[chart]), embedded(folder, f"{s.name}/charts/{chart}.svg", "svg+xml")
            lines.append(f'<figure><img alt="{caption}" src="{image}"><figcaption>{caption}</figcaption></figure>')
        lines += html_pictures(folder, s.pictures)
        lines += [f'<p class="soft">{html.escape(s.provenance)} Its numbers: {s.name}/sweep.csv and {s.name}/sweep.json; all of it: '
                  f'{s.name}/report.html.</p>', f"<p><code>{html.escape(s.command)}</code></p></section>"]
    return lines + ["</body></html>"]


# ---- paper.tex -------------------------------------------------------------------------------------------

TEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}", "~": r"\~{}",
       "^": r"\^{}", "—": "---", "±": r"$\pm$", "é": r"\'e", "\"": "''", "<": "$<$", ">": "$>$"}


def tex(text):
    return "".join(TEX.get(c, c if c.isascii() else "?") for c in text)


def tex_grid(grid):
    # The small print of a head is a second line of it.
    lines = [r"\begin{table}[htbp]\centering\footnotesize", rf"\caption{{{tex(grid.caption)}}}",
             r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
             r"\begin{tabular}{l" + "r" * (len(grid.heads) - 1) + "}", r"\toprule",
             " & ".join(tex(words) for words, _ in grid.heads) + r" \\",
             " & ".join(rf"{{\tiny {tex(note)}}}" for _, note in grid.heads) + r" \\", r"\midrule"]
    before = grid.rows[0][0].text if grid.rows else None
    for row in grid.rows:
        if row[0].text != before:
            lines.append(r"\addlinespace")
        before = row[0].text
        lines.append(" & ".join(tex(entry.text) for entry in row) + r" \\")
    return lines + [r"\bottomrule", r"\end{tabular}}", r"\end{table}"]


def tex_page(sections):
    lines = [r"\documentclass{article}", r"\usepackage[margin=2.2cm]{geometry}", r"\usepackage{graphicx,booktabs}",
             r"\title{How much diffusion time is enough?\\ The study's tables, measured again}", r"\author{}\date{}",
             r"\begin{document}\maketitle\sloppy", tex(INTRODUCTION), r"\begin{itemize}"]
    lines += [r"\item " + tex(doubt) for doubt in DOUBTS] + [r"\end{itemize}"]
    for s in sections:
        lines += [rf"\section{{{tex(s.title)}}}", tex(s.about), "", tex(s.provenance), "", rf"\texttt{{\small {tex(s.command)}}}"]
        for grid in s.grids:
            lines += tex_grid(grid)
        for chart in s.charts:
            lines += [r"\begin{figure}[htbp]\centering", rf"\includegraphics[width=\linewidth]{{{s.name}/charts/{chart}.pdf}}",
                      rf"\caption{{{tex(CHART_CAPTIONS[chart])}}}", r"\end{figure}"]
        if s.pictures:
            lines += [r"\begin{figure}[htbp]\centering\footnotesize", r"\begin{tabular}{l" + "c" * max(len(f) for _, f in s.pictures) + "}"]
            for start, files in s.pictures:
                lines += [" & ".join([""] + [f"T = {T}" for T, _ in files]) + r" \\", " & ".join(
                    [tex(STARTS.get(start, start))] + [rf"\includegraphics[width=.16\linewidth]{{{file}}}" for _, file in files]) + r" \\"]
            lines += [r"\end{tabular}", rf"\caption{{{tex(PICTURES)}}}", r"\end{figure}"]
        lines.append(r"\clearpage")
    return lines + [r"\end{document}"]


# ---- the files -------------------------------------------------------------------------------------------


def write(path, lines):
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.replace(path + ".part", path)


def main():
    if len(sys.argv) != 3:
        print("usage: tools/paper.py DIR PUBLISHED", file=sys.stderr)
        sys.exit(2)
    folder, published = sys.argv[1], read_published(sys.argv[2])
    sections = [section(folder, name, published) for name in STUDIES if os.path.exists(os.path.join(folder, name, "sweep.json"))]
    if not sections:
        fail(f"{folder}: holds no sweep of {', '.join(STUDIES)}")
    write(os.path.join(folder, "paper.html"), html_page(folder, sections))
    write(os.path.join(folder, "paper.tex"), tex_page(sections))


if __name__ == "__main__":
    main()
