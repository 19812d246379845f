#include "report/html.h"

#include <math.h>

static const char style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--soft:#5b636d;--line:#d9dde2;--faint:#edf0f2;"
    "--rule:#9aa3ad;--panel:#f6f7f8;--accent:#0072b2;--warn:#8a4b00;--warn-paper:#fff6e8}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:2.2rem 1.4rem 4rem;max-width:1110px;color:var(--ink);background:var(--paper);"
    "font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}\n"
    "h1{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem;letter-spacing:-.01em;overflow-wrap:anywhere}\n"
    "h2{font-size:1.2rem;margin:2.6rem 0 .7rem;padding-top:.9rem;border-top:1px solid var(--line)}\n"
    "h3{font-size:1rem;margin:1.4rem 0 .4rem}\n"
    "p,ul{margin:.5rem 0;max-width:46rem}.lead{color:var(--soft);margin:0 0 1.2rem}\n"
    ".note{color:var(--soft);font-size:.92rem}\n"
    ".warnings{list-style:none;padding:.6rem .9rem;margin:.9rem 0;border-left:3px solid var(--warn);"
    "background:var(--warn-paper)}.warnings li{margin:.25rem 0}\n"
    ".figures{display:flex;flex-wrap:wrap;gap:.8rem;margin:1.2rem 0}\n"
    ".figures div{flex:1 1 11rem;border:1px solid var(--line);border-radius:6px;padding:.7rem .9rem}\n"
    ".figures b{display:block;font-size:1.55rem;line-height:1.2;color:var(--accent);"
    "font-variant-numeric:tabular-nums}\n"
    ".figures span{color:var(--soft);font-size:.88rem}\n"
    "figure{margin:1.4rem 0 2rem}"
    "figcaption{color:var(--soft);font-size:.92rem;max-width:46rem;margin-top:.4rem}\n"
    ".scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}\n"
    "figure svg{display:block;width:100%;height:auto;min-width:640px}\n"
    /* the white of a chart as a file is the page's own here: gnuplot's first rectangle */
    "figure svg #gnuplot_canvas>rect:first-child{fill:none}\n"
    "table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.28rem .55rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--faint)}\n"
    "th{font-weight:600;border-bottom:1px solid var(--rule);vertical-align:bottom}\n"
    "td.word,th.word{text-align:left}tr.first td{border-top:1px solid var(--rule)}\n"
    "td small,.figures small{color:var(--soft);font-weight:400}\n"
    ".grids td,.grids th{border:0;padding:.2rem;text-align:center}.grids th{font-weight:500}\n"
    ".grids th.side{writing-mode:vertical-rl;transform:rotate(180deg)}\n"
    ".grids img{display:block;image-rendering:pixelated}\n"
    "details{margin:.4rem 0}summary{cursor:pointer;font-weight:600}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;font-size:.92rem}\n"
    "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
    "pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.8rem 1rem;"
    "font-size:.78rem;line-height:1.45;overflow-x:auto}\n"
    "code{font-size:.92em}\n"
    "@media (max-width:600px){.time td.word{white-space:normal}body{padding:1.2rem .9rem 3rem}"
    "h1{font-size:1.45rem}dl{grid-template-columns:1fr}dt{margin-top:.4rem}}\n"
    /* charts keep their hues: light and dark change places, and the colours turn back */
    "@media screen and (prefers-color-scheme:dark){:root{--paper:#15181c;--ink:#e4e7eb;--soft:#a2abb5;"
    "--line:#363c44;--faint:#262b31;--rule:#5d6670;--panel:#1d2126;--accent:#5cb3e8;--warn:#f0a94a;"
    "--warn-paper:#2a2117}figure svg{filter:invert(.92) hue-rotate(180deg) saturate(1.2)}}\n"
    "@media print{@page{margin:14mm}:root{color-scheme:light}"
    "body{max-width:none;padding:0;font-size:10.5pt}"
    ".scroll{overflow:visible}figure,tr,.keep,.warnings,.figures{break-inside:avoid}"
    "h2,h3,h2+p{break-after:avoid}"
    "figure svg{min-width:0}table{font-size:6.6pt}th,td{padding:.15rem .25rem}pre{white-space:pre-wrap}"
    ".grids img{width:23mm}}\n"
    "</style>\n";

void ts_html_style(FILE *page)
{
    fputs(style, page);
}

void ts_html_escape(FILE *page, const char *text)
{
    for (; text && *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", page);
            break;
        case '<':
            fputs("&lt;", page);
            break;
        case '>':
            fputs("&gt;", page);
            break;
        case '"':
            fputs("&quot;", page);
            break;
        default:
            putc(*text, page);
        }
}

void ts_html_interval(FILE *page, int digits, ts_interval value)
{
    double mean = value.mean;
    if (!isfinite(mean)) {
        fputs("&ndash;", page);
        return;
    }
    if (fabs(mean) < 0.5 * pow(10, -digits))
        mean = 0; /* not -0.00 */
    fprintf(page, "%s%.*f", mean < 0 ? "&minus;" : "", digits, fabs(mean));
    if (isfinite(value.half) && value.half > 0)
        fprintf(page, "&nbsp;<small>&plusmn;&nbsp;%.*f</small>", digits, value.half);
}

void ts_html_scale(FILE *page, int digits, ts_interval value)
{
    const double size = fabs(value.mean);
    const int behind = size > 0 && isfinite(size) ? digits - 1 - (int)floor(log10(size)) : digits;
    ts_html_interval(page, behind < 0 ? 0 : behind > 12 ? 12 : behind, value);
}

const char *ts_html_plural(double count)
{
    return count == 1 ? "" : "s";
}

void ts_html_base64(FILE *page, const unsigned char *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        const size_t left = size - i;
        const unsigned word =
            (unsigned)bytes[i] << 16 | (left > 1 ? bytes[i + 1] : 0u) << 8 | (left > 2 ? bytes[i + 2] : 0u);
        putc(digits[word >> 18], page);
        putc(digits[word >> 12 & 63], page);
        putc(left > 1 ? digits[word >> 6 & 63] : '=', page);
        putc(left > 2 ? digits[word & 63] : '=', page);
    }
}
