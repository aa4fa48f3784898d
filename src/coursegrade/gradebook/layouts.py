"""Whose hand-in a path is: one table of layouts, decided for a class as a whole.

An id comes from the part of a path that a platform or an instructor wrote, never from
a name that a student chose for a file inside of it.
"""

import contextlib
import os
import re
from dataclasses import dataclass, replace

from coursegrade.examiner.notebook import same_letters

# Each pattern is for one part of a path. Its groups are the id and the name of a
# person; place, under which feedback goes back; late or time, if the platform says
# so; file, the number of an upload. The first such place in the part counts:
# platforms clean the names in front of it, and a student may choose what follows.
LAYOUTS = {
    # "Ada Lovelace_1234567_assignsubmission_file_" and what follows.
    "Moodle": re.compile(
        r"(?P<place>(?P<name>.*?)_(?P<id>\d+)_assignsubmission_[a-z]+_?).*"
    ),
    # "lovelaceada_LATE_12345_67890_work-2.ipynb", "lovelaceada_12345_text.html",
    # "anon_LATE_Ab3xZ_67890_work.ipynb".
    "Canvas": re.compile(
        r"(?P<place>(?P<name>anon(?=_(?:LATE_)?\w{5}_\d)|.+?)_(?P<late>LATE_)?"
        r"(?P<id>\d+|(?<=anon_)[A-Za-z0-9]{5}|(?<=anon_LATE_)[A-Za-z0-9]{5})_"
        r"(?:(?P<file>\d+)_|text|link)).*"
    ),
    # nbgrader's exchange, inbound: "ada+initializers+2026-12-01 11:59:02.1 UTC+x".
    "nbgrader's exchange": re.compile(
        r"(?P<place>(?P<id>[^+]+)\+[^+]+\+(?P<time>20\d\d-\d\d-\d\d [\d:.]+ ?\w*)).*"
    ),
    # "Initializers_ada_attempt_2026-12-01-11-59-02_work.ipynb", and a text of each.
    "Blackboard": re.compile(
        r"(?P<place>.+?_(?P<id>[^_]+)_attempt_(?P<time>20\d\d(?:-\d\d){5})).*"
    ),
    # "12345-678 - Ada Lovelace - Dec 1, 2026 1159 PM", a folder or in front of a file;
    # no real download has been seen.
    "Brightspace": re.compile(
        r"(?P<place>(?P<id>\d+)-\d+ - (?P<name>.+?) ?- "
        r"(?P<time>\w+\.? \d{1,2}, 20\d\d \d{3,4} [AP]M)).*"
    ),
    # "Lovelace, Ada(ada)", below a folder of the assignment.
    # With a space before the brackets it is a browser's copy.
    "Sakai": re.compile(
        r"(?P<place>(?P<name>[^,()]+, [^()]*[^() ])\((?P<id>[^()]+)\)).*"
    ),
    # "submission_12345678"; who that is stands in submission_metadata.yml beside it.
    "Gradescope": re.compile(r"(?P<place>submission_(?P<id>\d+))"),
}
_MONTH = r"20\d\d_(0?[1-9]|1[0-2])_"
_DATE = re.compile(rf"{_MONTH}|\d+_{_MONTH}[0-3]?\d(\D|$)")
# Names of folders on top, where one student's folder would look the same.
_ON_TOP = re.compile(
    r"(.*[-_ ])?(submissions?|submitted|hand-?ins?|collected|downloads?|class|students)"
)
_GROUP = re.compile(
    r"(group|gruppe|groupe|grupo|section|class|team|tutorial|lab)s?[-_ ]?\w{1,2}",
    re.IGNORECASE,
)
# Google Drive's zips of one download: "Week 3-20251201T100000Z-001", "...-1-002".
_DRIVE = re.compile(r"-20\d{6}T\d{6}Z(-\d+){1,2}$")
# "ada (1).ipynb", "Copy of ada.ipynb", "ada - Copy (2).ipynb", "ada-Copy1.ipynb", and
# "Copy_of_ada.ipynb", "ada_(1).ipynb" where a platform or a tool wants no spaces.
_COPY = re.compile(
    r"(?:(?:copy[ _]of|kopie[ _]von|copie[ _]de|copia[ _]de)[ _])*(?P<stem>.+?)"
    r"(?:[ _]?\(\d+\)|[ _]-[ _](?:copy|kopie|copie|copia)"
    r"|[ _](?:copy|kopie)(?:[ _]\d+)?|-copy\d+)*",
    re.IGNORECASE,
)
_ENDING = re.compile(r"(?i)\.ipynb.*$|\.tar\.\w+$|\.7z$|\.[a-z]\w{0,5}$")
_SAVED = re.compile(r"(.+?)[-_ ]20\d\d[-_ ]?(0[1-9]|1[0-2])[-_ ]?[0-3]\d$")
_CALLED = (
    r"(readme|licen[cs]e|roster|gradebook|timestamp|nbgrader_config|requirements)\b.*"
    r"|index\.html?"
)
_BESIDE = re.compile(
    rf"(?P<called>{_CALLED})|.*\.(csv|tsv|xlsx?|ods|md|db|toml|log|cfg|ini|ya?ml)",
    re.IGNORECASE,
)

_AMONG = "lies beside the hand-ins"
_NOT_SUBMITTED = "not in submitted/"
#: Why files are set aside at which nobody must look.
QUIET = (_AMONG, _NOT_SUBMITTED)
_ABOVE = "lies beside the folder of the hand-ins"
_ENDS = "has a name like a README; if it is a student's work, add its id to the roster"
_DOUBT = "; a group, or a section of one student? --roster says which"


@dataclass(frozen=True)
class Owner:
    """Whose a file is: ``label`` is the id as the path tells it, by which ``rule``.

    ``name`` is the platform's, ``where`` the place for feedback; ``late`` is None
    where nobody says so, and ``time``, a text, empty; ``look`` is set where the path
    is unlike the others; ``platform`` is empty for plain folders and files.
    """

    label: str
    name: str
    where: str
    rule: str
    late: bool | None = None
    look: bool = False
    platform: str = ""
    time: str = ""


def owners(files, assignment, roster=None, holds=lambda file: None):
    """Return pairs of a file and its Owner, and pairs of a file and why it has none.

    Where a layout leaves it open, names on the roster tell, and ``holds``: of a file
    the id that its notebook holds, None if it holds no cell of the assignment.
    """
    depth, rule, odd, stray = _platform(files, holds)
    prefix, beside, doubt = "", [(file, file.problem or _ABOVE) for file in stray], ()
    files = [file for file in files if id(file) not in set(map(id, stray))]
    if not rule:
        files, beside, depth, doubt = _unwrapped(files, assignment, roster, holds)
        prefix = _prefix(files, depth, assignment)
    found = []
    people = _submitters(files, depth) if rule == "Gradescope" else {}
    for file in files:
        part, *inside = file.parts[depth:] or file.parts[-1:]
        known = file.parts[: depth + 1] not in odd
        if owner := _on_platform(part, rule if known else ""):
            # Work of a group is the work of each.
            unknown = {"look": rule == "Gradescope"}
            for one in people.get(part) or [unknown]:
                found.append((file, replace(owner, **one)))
        elif not inside and not part:
            # An empty folder of those on top is nobody's.
            beside.append((file, file.problem or _AMONG))
        elif not inside and (why := _beside(file, part, roster, holds)):
            beside.append((file, file.problem or why))
        else:
            label, how = (part, "folder") if inside else (stem(part), "file name")
            # a number that looks like a date may be somebody's
            end = re.split(r"[-_ ]", _ENDING.sub("", part))[-1]
            if roster and not inside and not roster.find(label) and roster.find(end):
                label = end
            if prefix and label.startswith(prefix):
                how, label = f"{how}, without {prefix!r}", label.removeprefix(prefix)
            # Google Classroom's copy for each student: "Ada Lovelace - initializers"
            head, dash, tail = label.rpartition(" - ")
            listed = roster and roster.find(label)
            if dash and not listed and same_letters(tail, assignment):
                how, label = f"{how}, without {dash + tail!r}", head
            above = "/".join(file.parts[:-1][:depth])
            how += f", in {above}/" if above else ""
            how += f", unlike {rule}'s" if rule else _DOUBT * (id(file) in doubt)
            look = bool(rule) or id(file) in doubt
            found.append((file, Owner(label, "", part, how, look=look)))
    if rule == "Blackboard":
        found = _apart(found, roster)
    return found, beside


def _apart(found, roster):
    """Return Blackboard's owners with whole ids, which may have a "_" as well.

    The roster knows them; else what the names share is the assignment's.
    """
    heads = {one.where.partition("_attempt_")[0] for _, one in found if not one.look}
    shared = os.path.commonprefix(list(heads)).rpartition("_")[0] + "_"

    def whole(one):
        head = one.where.partition("_attempt_")[0]
        ends = [head[k + 1 :] for k, letter in enumerate(head) if letter == "_"]
        known = [end for end in ends if roster and roster.find(end)]
        alone = one.look or len(heads) < 2
        return (known or [one.label if alone else head[len(shared) :]])[0]

    return [(file, replace(one, label=whole(one))) for file, one in found]


def stem(name):
    """Return a file's name without its ending, a copy's number and a date behind it."""
    cut = _ENDING.sub("", name) or name or "_"
    return _SAVED.sub(r"\1", _COPY.fullmatch(cut)["stem"].strip()) or "_"


def _beside(file, name, roster, holds):
    """Return why a file of such a name is no hand-in, or an empty text.

    Whoever is on the roster has handed it in, and so has who answered in it.
    """
    match = _BESIDE.fullmatch(name)
    if not match or (roster and roster.find(stem(name))):
        return ""
    notebook = ".ipynb" in name.lower()
    if notebook and holds(file) is not None:
        return ""
    text = notebook or name.lower().endswith(".md")
    return _ENDS if text and not match["called"] else _AMONG


def _on_platform(part, rule):
    match = LAYOUTS[rule].fullmatch(part) if rule else None
    if not match:
        return None
    groups = {"name": "", "time": ""} | match.groupdict(default="")
    late = bool(groups["late"]) if "late" in groups else None
    time = re.sub(r" ?UTC$", "+00:00", groups["time"].strip())
    # Blackboard writes hyphens only: 2026-12-01-11-59-02.
    time = re.sub(r"^(\S{10})-(\d\d)-(\d\d)-(\d\d)$", r"\1T\2:\3:\4", time)
    # Brightspace writes no colon: 1159 PM.
    time = re.sub(r"(\d\d [AP]M)$", r":\1", time)
    known = {"late": late, "platform": rule, "time": time}
    return Owner(groups["id"], groups["name"], groups["place"], rule, **known)


def _submitters(files, depth):
    """Return who handed in each of Gradescope's folders: id, name and time.

    A student number counts, or else the address. The file is the one beside the
    folders: one inside of them is a student's.
    """
    import yaml

    people = {}
    for file in files:
        if file.parts[depth:] != ("submission_metadata.yml",):
            continue
        try:
            told = dict(yaml.safe_load(file.read()) or {})
        except (yaml.YAMLError, ValueError, TypeError):
            continue
        for folder, one in told.items():
            # an entry that is damaged costs itself
            with contextlib.suppress(KeyError, TypeError, AttributeError):
                people[folder] = [
                    {
                        "label": str(who.get(":sid") or who[":email"]),
                        "name": str(who.get(":name", "")),
                        "time": str(one.get(":created_at", "")),
                    }
                    for who in one[":submitters"]
                ]
    return people


def _platform(files, holds):
    """Return at which part of the paths a platform's names stand, and whose.

    And which names there are none of it, and which files further up are no hand-ins.
    Half of the names have to fit, below all folders on top of them, so a student who
    names a folder like that is not believed.
    """
    files = [f for f in files if not _BESIDE.fullmatch(f.parts[0])]
    for rule, pattern in LAYOUTS.items():
        for depth in range(3):
            # An empty folder further up says nothing.
            full = [f.parts for f in files if f.parts[depth:] != ("",)]
            level = {parts[: depth + 1] for parts in full if len(parts) > depth}
            hits = {one: hit for one in level if (hit := pattern.fullmatch(one[-1]))}
            if not hits or 2 * len(hits) < len(level):
                continue
            # A zip's companion, an announcement say, but not a class of such.
            up = [f for f in files if f.parts[depth:] == () and holds(f) is None]
            up = up if len(up) <= len(hits) else []
            on_top = {parts[:depth] for parts in full} - {f.parts for f in up}
            odd = _odd(hits)
            # One student's file name is nothing against a class.
            if {one[:depth] for one in hits} == on_top and 2 * len(odd) < len(hits):
                return depth, rule, odd, up
    return 0, "", set(), []


def _odd(hits):
    """Return which of Canvas's hits cannot be its own, whose numbers do not agree.

    A number is one person's or one upload's, and no date. What a student wrote, behind
    the numbers, says nothing.
    """
    names, uploads, odd = {}, {}, set()
    for parts, hit in hits.items():
        groups = hit.groupdict()
        if "file" not in groups:
            return set()
        names.setdefault(groups["id"], {}).setdefault(groups.get("name"), []).append(
            parts
        )
        if groups["file"]:
            # A browser's copy is the same upload.
            one = (*parts[:-1], stem(parts[-1]))
            uploads.setdefault(groups["file"], {}).setdefault(one, []).append(parts)
            if _DATE.match(parts[-1], hit.start("id")):
                odd.add(parts)
    for same in (*names.values(), *uploads.values()):
        if len(same) > 1:
            odd.update(parts for each in same.values() for parts in each)
    return odd


def _unwrapped(files, assignment, roster, holds):
    """Leave out folders on top of the students' own.

    Return the files below, those beside with the reason, at which part of a path the
    students stand, and the files of which that is in doubt, by ``id``.
    """
    beside, depth, doubt, stray = [], 0, set(), []
    while True:
        tops, loose = _level(files, depth)
        aside = {id(f): _beside(f, f.parts[depth], roster, holds) for f in loose}
        other = [file for file in loose if not aside[id(file)]]
        deep, why = [f for one in tops.values() for f in one], _AMONG
        if "submitted" in tops:
            # nbgrader's course folder: source, release, autograded lie beside it.
            deep, aside, why = tops["submitted"], {}, _NOT_SUBMITTED
        else:
            groups = all(map(_GROUP.fullmatch, tops))
            drive = all(map(_DRIVE.search, tops))
            drive = drive and len({_DRIVE.sub("", top) for top in tops}) == 1
            # A file that is no answer says nothing of the folder beside it.
            alone = all(holds(file) is None for file in other)
            if not (tops and alone and (groups or drive or len(tops) == 1)):
                return files + stray, beside, depth, doubt
            below = [name for one in tops.values() for name in _units(one, depth + 1)]
            # Groups call their work alike, people are called otherwise.
            alike = len(set(below)) < len(below)
            signs = [
                (drive or _on_top(one, depth, assignment, roster, holds, alike), one)
                for one in tops.values()
            ]
            if groups:
                # A section of one student looks like a group that hands in together.
                doubt.update(id(f) for sign, one in signs if sign is None for f in one)
            if not any(sign for sign, _ in signs):
                return files + stray, beside, depth, doubt
            # It could be somebody's hand-in all the same.
            stray += other
        kept = set(map(id, deep + stray))
        beside += [(f, aside.get(id(f)) or why) for f in files if id(f) not in kept]
        files, depth = deep, depth + 1


def _on_top(files, depth, assignment, roster, holds, alike):
    """Tell whether a folder holds students, not one's files; None if nothing tells.

    Where names in several folders are ``alike``, a person's in this one is no sign.
    """
    top, under = files[0].parts[depth], _units(files, depth + 1)
    if roster:
        known = [bool(roster.find(one)) for one in (top, *under)]
        if any(known):
            return not known[0]
    if _ON_TOP.fullmatch(top.lower()) or "submitted" in under:
        return True
    # A folder of the assignment, or one whose parts alone have its name in front.
    if same_letters(top, assignment):
        return True
    if _prefix(files, depth + 1, assignment) and not _prefix(files, depth, assignment):
        return True
    while len(under) == 1 and all(len(f.parts) > depth + 2 for f in files):
        depth += 1
        under = _units(files, depth + 1)
    named = []
    for unit, own in under.items():
        said = next((held for held in map(holds, own) if held is not None), None)
        if said is None:
            continue
        if same_letters(said, top):
            return False
        named.append(same_letters(said, unit))
        if len(named) > 1:
            return True
    return True if any(named) and not alike else None


def _level(files, depth):
    """Return the files of each folder at a part of the paths, and those in none."""
    folders, loose = {}, []
    for file in files:
        if len(file.parts) > depth + 1:
            folders.setdefault(file.parts[depth], []).append(file)
        elif any(file.parts[depth:]):
            loose.append(file)
    return folders, loose


def _units(files, depth):
    """Return the files by what could be a student at this part of their paths."""
    units, loose = _level(files, depth)
    for file in loose:
        if not _BESIDE.fullmatch(file.parts[depth]):
            units.setdefault(stem(file.parts[depth]), []).append(file)
    return units


def _prefix(files, depth, assignment):
    """Return what GitHub Classroom puts in front of a login: "initializers-"."""
    names, loose = _level(files, depth)
    single = {stem(file.parts[depth]) for file in loose}
    single = single if len(single) > 1 else ()
    names = [*names, *(one for one in single if not _BESIDE.fullmatch(one))]
    words = re.split(r"[-_]", assignment)
    start = re.compile(f".*?{'[-_ ]?'.join(words)}[-_ ]+", re.IGNORECASE)
    match = start.match(os.path.commonprefix(names))
    return match[0] if match else ""
