"""A page on which a person reads the answers that wait and writes marks."""

from pathlib import Path
from string import Template

from coursegrade.assignment.master import solution
from coursegrade.gradebook.journal import write_atomically
from coursegrade.gradebook.marks import fingerprint
from coursegrade.gradebook.pages import heading, page, safe
from coursegrade.gradebook.sheets import guarded
from coursegrade.statuses import Status

_SCRIPT = """
<script>
const key = "marks " + location.pathname;
const fields = [...document.querySelectorAll("[data-id]")];
const kept = JSON.parse(localStorage.getItem(key) || "{}");
const name = (f) => JSON.stringify([...Object.values(f.dataset), f.name]);
for (const f of fields) {
  f.value = kept[name(f)] ?? f.value;
  f.addEventListener("input", () => {
    kept[name(f)] = f.value;
    localStorage.setItem(key, JSON.stringify(kept));
  });
}
document.querySelector("[type=checkbox]").addEventListener("change", () => {
  for (const one of document.querySelectorAll("h3")) one.hidden = !one.hidden;
});
const cell = (text) => '"' + text.replaceAll('"', '""') + '"';
document.querySelector("button").addEventListener("click", () => {
  const lines = ["id,task,points,comment,answer"];
  for (const f of fields.filter((f) => f.name === "points")) {
    const comment = f.closest("article").querySelector("textarea").value;
    const data = [f.dataset.id, f.dataset.task, f.value, comment, f.dataset.answer];
    lines.push(data.map(cell).join(","));
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\\n") + "\\n"]));
  link.download = "marks.csv";
  link.click();
});
</script>
"""
_HIDE = '<p><label><input type="checkbox"> Hide the names</label></p>'
_ARTICLE = Template("""\
<article>
<h3>$student</h3>
<pre>$text</pre>
<p><label>Points, of $of:
<input name="points" inputmode="decimal" size="5" $data></label>
<label>Comment:
<textarea name="comment" rows="2" cols="50" $data></textarea></label></p>
</article>
""")


def write_review_page(out, master, entries):
    """Write review.html: the answers that wait, by task; return its path.

    Its button saves marks.csv, which ``--marks`` takes. What is typed stays in the
    browser until then.
    """
    parts = []
    for task in master.tasks.values():
        shown = [
            _article(student, entry, row)
            for student, entry in sorted(entries.items())
            for row in entry["rows"]
            if row["task"] == task.name and row["status"] == Status.NEEDS_REVIEW
        ]
        if shown:
            model = safe("\n\n".join(map(solution, task.answers)))
            parts += [f"<h2>{safe(heading(master, task))}</h2>"]
            parts += [f"<details><summary>Model answer</summary><pre>{model}</pre>"]
            parts += ["</details>", *shown]
    if parts:
        parts = [_HIDE, *parts, "<p><button>Save marks.csv</button></p>", _SCRIPT]
    body = "\n".join(parts or ["<p>Nothing waits.</p>"])
    path = Path(out) / "review.html"
    write_atomically(path, page(f"{master.title}: to mark", body))
    return path


def _article(student, entry, row):
    text = entry.get("texts", {}).get(row["task"])
    answer = fingerprint(entry, row["task"])
    values = {"id": guarded(student), "task": row["task"], "answer": answer}
    return _ARTICLE.substitute(
        student=safe(student),
        text=safe(text if text else "(not among the hand-ins of this run)"),
        of=f"{row['of']:g}",
        data=" ".join(f'data-{k}="{safe(v)}"' for k, v in values.items()),
    )
