#!/usr/bin/env python3
"""test_paper.py TSTAR: small versions of the paper's studies, each number on the page and in LaTeX against the sweeps' files.

A study is one more entry in SMALL.  Sweeps are of minutes made seconds by --set; what is compared is the page, not their answers.
"""
import csv
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TOOL = os.path.join(SOURCE, "tools", "paper.sh")
PUBLISHED = os.path.join(SOURCE, "configs", "paper", "published.csv")
COMMON = ["train.steps=20", "train.eval_every=0", "bound.draws=8", "bound.prior_draws=2", "bound.count=64", "sweep.samples=16",
          "sample.steps_per_unit=10", "likelihood.count=8", "likelihood.rtol=1e-2", "likelihood.atol=1e-2", "likelihood.probes=1"]
SMALL = {
    "toy": [*COMMON, "model.hidden=16", "data.mixture.count=128", "start.components=3"],
    "digits": [*COMMON, "data.limit=128", "glow.steps=4", "glow.hidden=8", "start.components=3", "start.iterations=20"],
}


# What a head says is the number of this column.
COLUMNS = {"ELBO, nats": "elbo_nats", "KL(p_T, start), nats": "kl_prior_nats", "bound, bits/dim": "bpd", "ODE, bits/dim": "ode_bpd",
           "NFE, ODE": "ode_nfe", "NFE, sampler": "nfe", "Fréchet, not FID": "frechet"}
HALVES = {"elbo_nats": "elbo_ci95_nats", "kl_prior_nats": "kl_prior_ci95_nats", "bpd": "bpd_ci95", "ode_bpd": "ode_bpd_ci95",
          "frechet": "frechet_ci95"}
STARTS = {"normal": "N(0, I)", "gaussian": "Gaussian of the data", "dpmixture": "Dirichlet-process mixture", "glow": "Glow",
          "mixture": "the exact density"}


class Page(html.parser.HTMLParser):
    """Of each section its tables, ([(head, its small print)], [[(text, title)]]), and what the page loads."""

    def __init__(self, text):
        super().__init__()
        self.sections, self.loaded, self.words = {}, [], []
        self.at, self.cell, self.head, self.small = None, None, None, False
        self.figure = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.loaded += [attrs[key] for key in ("src", "href") if key in attrs]
        if tag == "section":
            self.at = self.sections.setdefault(attrs["id"], [])
        elif tag == "figure":
            self.figure = True
        elif self.figure:
            return
        elif tag == "table":
            self.at.append(([], []))
        elif tag == "tr" and self.at[-1][0]:
            self.at[-1][1].append([])
        elif tag == "th":
            self.head = ["", ""]
        elif tag == "small":
            self.small = True
        elif tag == "td":
            self.cell = ["", attrs.get("title", "")]

    def handle_endtag(self, tag):
        if tag == "figure":
            self.figure = False
        elif self.figure:
            return
        elif tag == "small":
            self.small = False
        elif tag == "th":
            self.at[-1][0].append(tuple(self.head))
            self.head = None
        elif tag == "td":
            self.at[-1][1][-1].append(tuple(self.cell))
            self.cell = None

    def handle_data(self, data):
        self.words.append(data)
        if self.head:
            self.head[self.small] += data
        elif self.cell:
            self.cell[0] += data


def paper(program, *arguments):
    return subprocess.run([TOOL, *arguments], env={**os.environ, "TSTAR": program}, capture_output=True, text=True, check=False)


def works(program, *arguments):
    done = paper(program, *arguments)
    assert done.returncode == 0, (arguments, done.stderr[-400:])
    return done


def refused(program, text, *arguments):
    done = paper(program, *arguments)
    assert done.returncode == 2 and text in done.stderr, (arguments, done.returncode, done.stderr)


def close(text, value):
    """Whether a printed number is the value, rounded to the digits that it shows."""
    shown = float(text)
    mantissa, _, exponent = text.lower().partition("e")
    digits = len(mantissa.partition(".")[2])
    return abs(shown - value) <= 0.5000001 * 10.0 ** (int(exponent or 0) - digits)


def check_row(rows, heads, entries):
    """Each number of a line of a table, against the row that its last cell names and the column that its head means."""
    row = rows[int(entries[-1][0]) - 1]
    assert entries[0][0] == STARTS[row["start"]] and float(entries[1][0]) == float(row["T"]), (entries, row)
    for (head, small), (text, title) in zip(heads[2:-1], entries[2:-1]):
        if head not in COLUMNS:
            assert not title and (small == "published" or (small, text) == ("not measured", "—")), (head, small, text, title)
            continue
        names = [COLUMNS[head], HALVES[COLUMNS[head]]] if COLUMNS[head] in HALVES else [COLUMNS[head]]
        assert small.replace("±", " ±").split() == " ± ".join(names).split(), (head, small)
        assert title == f"sweep.csv, row {entries[-1][0]}, column {' ± '.join(names)}", (head, title)
        values = text.split(" ± ")
        assert len(values) == len(names) and all(close(v, float(row[n])) for v, n in zip(values, names)), (text, title, row)


def check_finding(findings, entries):
    """The line of T*: numbers and words of sweep.json."""
    for text, title in entries:
        found = re.fullmatch(r"sweep\.json, findings\[(\d+)\]\.(\w+)(, .*)?", title)
        if not found:
            continue
        finding, name = findings[int(found[1])], found[2]
        if name == "tie":
            assert text == ("yes" if finding["tie"] else "no"), (text, title)
        elif name == "seeds":
            assert int(text) == finding["seeds"], (text, title)
        else:
            best, low, high = re.fullmatch(r"(\S+) \((\S+) to (\S+)\)", text).groups()
            for value, key in ((best, name), (low, name + "_low"), (high, name + "_high")):
                assert close(value, finding[key]), (text, key, finding[key])


def check_study(folder, tables):
    with open(os.path.join(folder, "sweep.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with open(os.path.join(folder, "sweep.json"), encoding="utf-8") as file:
        findings = json.load(file)["findings"]
    mine = [row for row in rows if row["score"] == "network" and row["sampler"] == "em"]
    starts = len({row["start"] for row in mine})
    assert len(tables[0][1]) == starts, "a line of T* for each start"
    for line in tables[0][1]:
        check_finding(findings, line)
    for heads, lines in tables[1:]:
        assert len(lines) == len(mine), "a line for each T and start"
        for line in lines:
            check_row(rows, heads, line)


def made_up(folder, name, starts, Ts):
    """A finished sweep of a study that cannot run here."""
    os.makedirs(os.path.join(folder, name, "charts"))
    columns = ["T", "start", "score", "sampler", "budget", "elbo_nats", "elbo_ci95_nats", "bpd", "bpd_ci95", "ode_bpd", "ode_bpd_ci95",
               "ode_nfe", "nfe", "frechet", "frechet_ci95", "frechet_features"]
    with open(os.path.join(folder, name, "sweep.csv"), "w", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(columns)
        for i, (T, start) in enumerate((T, start) for T in Ts for start in starts):
            for sampler in ("em", "rk45"):  # rk45 is not shown
                lines.writerow([T, start, "network", sampler, "", -100 - i, 1, 3 + 0.01 * i, 0.02, 3.1 + 0.01 * i, 0.03, 123.5 + i,
                                1000 * T + 1, 7 + i, 0.5, "pca64"])
    finding = {"score": "network", "tolerance_bpd": 0.01, "T_star": 0.4, "T_star_low": 0.2, "T_star_high": 1, "T_best": 0.6,
               "T_best_low": 0.4, "T_best_high": 1, "tie": False, "seeds": 1}
    results = {"scores": ["network"], "findings": [{"start": start, **finding} for start in starts], "version": "0", "device": "none",
               "date": "never", "train_count": 1, "test_count": 1, "train_steps": 1, "parameters": 1, "steps_per_unit": 1000, "seed": 1,
               "h": 32, "w": 32, "c": 3, "command": "made_up <&> $x_1"}
    with open(os.path.join(folder, name, "sweep.json"), "w", encoding="utf-8") as file:
        json.dump(results, file)


def check_published(page):
    """Each number of published.csv stands on the page once, beside the start and T that it is of."""
    with open(PUBLISHED, encoding="utf-8") as file:
        published = list(csv.DictReader(line for line in file if not line.startswith("#")))
    columns = {"bits/dim": "bpd", "NFE": "nfe", "FID": "fid"}
    for study in ("mnist", "cifar10"):
        expected = {}
        for line in published:
            if line["study"] == study:
                start = {"no": "N(0, I)", "yes": "Glow"}[line["auxiliary"]]
                expected[start, float(line["T"])] = {c: float(line[c]) for c in columns.values() if line[c]}
        found = {}
        for heads, lines in page.sections[study][1:]:
            for entries in lines:
                shown = {columns[head]: float(text) for (text, _), (head, small) in zip(entries, heads)
                         if small == "published" and text != "—"}
                if shown:
                    found[entries[0][0], float(entries[1][0])] = shown
        assert found == expected, (study, found, expected)
    words = " ".join(page.words)
    for doubt in ("confirmed nowhere", "Cao et al.", "no FID"):
        assert doubt in words, doubt


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        for arguments, text in ((["toy"], "--out"), (["--out", folder], "toy|digits"), (["moon", "--out", folder], "moon"),
                                (["toy", "--out"], "needs a folder"), (["toy", "digits"], "one study"), (["celeba", "--out", folder], "fetch_data.sh celeba --from FOLDER"),
                                (["toy", "--out", folder, "--", "--set", "train.stepz=1"], "train.stepz")):
            refused(program, text, *arguments)
        for name, settings in SMALL.items():
            options = [word for setting in settings for word in ("--set", setting)]
            works(program, name, "--out", folder, "--", *options)
        # Again, it only writes the page, with the same numbers.
        before = read(os.path.join(folder, "digits", "sweep.csv")), read(os.path.join(folder, "paper.tex"))
        works(program, name, "--out", folder, "--", *options)
        assert before == (read(os.path.join(folder, "digits", "sweep.csv")), read(os.path.join(folder, "paper.tex")))

        made_up(folder, "mnist", ["normal", "gaussian", "glow"], [1, 0.6, 0.4, 0.2])
        made_up(folder, "cifar10", ["normal", "glow"], [1, 0.6, 0.4, 0.2])
        subprocess.run([sys.executable, os.path.join(SOURCE, "tools", "paper.py"), folder, PUBLISHED], check=True)
        page, tex = Page(read(os.path.join(folder, "paper.html"))), read(os.path.join(folder, "paper.tex"))
        assert list(page.sections) == ["toy", "digits", "mnist", "cifar10"], list(page.sections)
        assert all(link.startswith("data:") for link in page.loaded) and len(page.loaded) >= 6, "the page is whole by itself"
        grids = os.listdir(os.path.join(folder, "digits", "grids"))
        assert sum(link.startswith("data:image/png") for link in page.loaded) == len(grids) - 1, "all grids but the data's"
        assert sum(f"digits/grids/{name}}}" in tex for name in grids) == len(grids) - 1
        for name in page.sections:
            check_study(os.path.join(folder, name), page.sections[name])
        check_published(page)
        # LaTeX has the same cells.
        cells = [text for tables in page.sections.values() for _, lines in tables for entries in lines for text, _ in entries]
        for text in cells:
            assert text.replace("±", r"$\pm$").replace("—", "---") in tex, text
        if shutil.which("pdflatex"):
            done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"], cwd=folder, capture_output=True,
                                  text=True, errors="replace", check=False)
            assert done.returncode == 0, done.stdout[-600:]
        print(f"{len(cells)} cells of {len(page.sections)} studies checked")


if __name__ == "__main__":
    main()
