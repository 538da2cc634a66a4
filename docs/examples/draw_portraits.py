"""Draw the fourteen portraits that ``avatars.csv`` refers to.

Every portrait is one front-facing head and shoulders, the kind of picture an avatar service
animates. They are drawn from scratch with Pillow (no fonts, no downloads, no photographs of
anybody), so they are free to copy, publish and throw away.

Run it from the project root::

    python -m pip install pillow
    python docs/examples/draw_portraits.py

The pictures go to ``docs/examples/portraits/``. With the same Pillow build, running the script
again writes the same bytes.

How it works: a person is a :class:`Person`, a table of colours and styles. ``draw`` paints that
person back to front on a large canvas (x is measured from the middle of the face, y from the
top), which is then scaled down, so that all edges come out smooth.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter

WIDTH, HEIGHT, SUPERSAMPLE = 512, 640, 4
OUTPUT = Path(__file__).resolve().parent / "portraits"

Point = tuple[float, float]
Points = list[Point]


@dataclass(frozen=True)
class Person:
    """All that tells one portrait from another. Colours are ``#rrggbb``."""

    file: str
    skin: str
    hair: str
    style: str
    top: str
    outfit: str
    backdrop: tuple[str, str]
    decor: str = "glow"
    eyes: str = "#5b3a29"
    lips: str = "#b5565a"
    brow: float = 7.0  # thickness of the eyebrows
    eye: tuple[float, float] = (21.0, 12.0)  # half width and height of an eye
    jaw: float = 1.0  # width of the lower face
    build: float = 1.0  # width of the shoulders
    nose: float = 1.0  # width of the nose
    full: float = 1.0  # fullness of the lips
    smile: float = 7.0  # how far the corners of the mouth go up
    teeth: bool = False
    lashes: bool = False
    beard: str = ""  # "", "stubble", "full", "moustache" or "goatee"
    glasses: str = ""  # "", "round" or "square"
    extra: str = ""  # "", "freckles", "pearls", "hoops", "headset" or "studs"
    accent: str = "#ffffff"  # shirt, tie, scarf or frame colour
    age: float = 0.0  # 0 for smooth skin, 1 for laughter lines
    size: tuple[int, int] = (WIDTH, HEIGHT)


# fmt: off
PEOPLE = (
    Person(
        "ada.jpg", "#f1c7a5", "#4a2b20", "waves", "#2a7f80", "crew", ("#fbe3cf", "#f2b48f"),
        "rings", eyes="#4d6b3c", lips="#c4585f", brow=6, lashes=True, jaw=0.94, build=0.88,
        nose=0.92,
    ),
    Person(
        "ben.png", "#efc3a0", "#7a4b2a", "swept", "#26395e", "blazer", ("#d9e8f3", "#9dbfda"),
        "window", eyes="#3f6d9a", lips="#b96a62", brow=9, jaw=1.08, beard="stubble",
        accent="#b3423f", size=(448, 560),
    ),
    Person(
        "chidi.jpg", "#6b4130", "#1d1513", "fade", "#d99a2b", "turtleneck",
        ("#cfe5dc", "#6fae9d"), "arch", eyes="#2f1c14", lips="#8a4a46", brow=9, jaw=1.05,
        glasses="round", accent="#2a2320", build=1.02, nose=1.18, full=1.25,
    ),
    Person(
        "dana.png", "#f7d3bd", "#c2562a", "curls", "#3c7a4c", "vneck", ("#e6f0dc", "#a9cfa0"),
        "leaves", eyes="#4f8a6b", lips="#c9605c", brow=6, lashes=True, jaw=0.95, teeth=True,
        smile=10, extra="freckles", build=0.9, size=(448, 560),
    ),
    Person(
        "elif.jpg", "#e3b38c", "#3a2a22", "hijab", "#5d3a6b", "plain", ("#f6e6f0", "#d9a9c8"),
        "rings", eyes="#5a3b22", lips="#b34e58", brow=7, lashes=True, jaw=0.95, accent="#8a4f86",
        build=0.92,
    ),
    Person(
        "gurpreet.jpg", "#b67a50", "#241a17", "turban", "#e9e2d3", "shirt",
        ("#fde7bd", "#eeb55d"), "arch", eyes="#3a2418", lips="#96504a", brow=10, jaw=1.05,
        beard="full", accent="#c8452f", build=1.05, nose=1.1, full=0.95,
    ),
    Person(
        "hana.png", "#f4d0ae", "#1c1a20", "bob", "#f0efe9", "stripes", ("#dff1f5", "#8fcbd8"),
        "dots", eyes="#3b2a22", lips="#cf5a62", brow=6, eye=(21, 10.5), lashes=True, jaw=0.93,
        accent="#2e4d7d", build=0.84, nose=0.9, size=(448, 560),
    ),
    Person(
        "ivan.jpg", "#edbd9c", "#b9b4ae", "bald", "#5b6670", "shirt", ("#e3e0ea", "#a5a0c0"),
        "window", eyes="#56829e", lips="#b06a60", brow=10, jaw=1.1, beard="full",
        glasses="square", accent="#3a3f4a", age=1.0, build=1.06, nose=1.15, full=0.8,
    ),
    Person(
        "june.jpg", "#f3cfb6", "#d6d5d8", "pixie", "#a23b5b", "blazer", ("#f3e9df", "#cfb7a4"),
        "bokeh", eyes="#4b7687", lips="#b8434f", brow=6, lashes=True, jaw=0.97, teeth=True,
        smile=10, extra="pearls", age=0.8, accent="#a23b5b", build=0.9, full=0.85,
    ),
    Person(
        "kofi.png", "#7d4c34", "#2a1c18", "twists", "#e4632f", "hoodie", ("#fff0c9", "#f4c64f"),
        "stripes", eyes="#301c14", lips="#94524c", brow=9, jaw=1.03, beard="goatee", teeth=True,
        smile=10, extra="studs", nose=1.15, full=1.2, size=(448, 560),
    ),
    Person(
        "lena.jpg", "#f8d8c0", "#e3b862", "bun", "#e88fa0", "crew", ("#d5ecff", "#87b9ee"),
        "glow", eyes="#4c86bd", lips="#d0656c", brow=6, lashes=True, jaw=0.93, size=(300, 300),
        build=0.86, nose=0.9,
    ),
    Person(
        "mateo.jpg", "#cf9568", "#2b1d18", "tousled", "#4a6c94", "denim", ("#f7d9c4", "#d98b6a"),
        "hills", eyes="#4a2f1c", lips="#a9584f", brow=10, jaw=1.05, beard="moustache",
        accent="#f3efe6", nose=1.08,
    ),
    Person(
        "nia.jpg", "#8a5638", "#241815", "afro", "#f2b632", "vneck", ("#dcd3f5", "#8d78cf"),
        "bokeh", eyes="#3a2116", lips="#a23f4b", brow=7, lashes=True, jaw=0.96, smile=8,
        extra="hoops", build=0.88, nose=1.12, full=1.3,
    ),
    Person(
        "yuki.jpg", "#fadcc9", "#ee8fb8", "twintails", "#3b3a73", "idol", ("#e4dcff", "#a6c8ff"),
        "dots", eyes="#7a5bd0", lips="#dc6d7f", brow=5, eye=(23, 15), lashes=True, jaw=0.9,
        extra="headset", accent="#7fe0e0", build=0.8, nose=0.8, full=0.9,
    ),
)
# fmt: on


# --- colours and curves -------------------------------------------------------------------------


def mix(first: str, second: str, share: float) -> str:
    """The colour ``share`` of the way from one to the other."""
    pairs = zip(ImageColor.getrgb(first)[:3], ImageColor.getrgb(second)[:3], strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def darker(color: str, share: float) -> str:
    """The colour in shade."""
    return mix(color, "#1d0f1c", share)


def lighter(color: str, share: float) -> str:
    """The colour in light."""
    return mix(color, "#fff6e6", share)


def spline(points: Sequence[Point], *, closed: bool = True, steps: int = 14) -> Points:
    """A smooth curve (Catmull-Rom) through the points; a point given twice makes a corner."""
    count = len(points)
    curve: Points = []
    for i in range(count if closed else count - 1):
        index = (i - 1, i, i + 1, i + 2)
        quad = [points[j % count if closed else min(max(j, 0), count - 1)] for j in index]
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = quad
        if quad[1] == quad[2]:  # a corner
            continue
        for step in range(steps):
            t = step / steps
            w = (
                (-t + 2 * t**2 - t**3) / 2,
                (2 - 5 * t**2 + 3 * t**3) / 2,
                (t + 4 * t**2 - 3 * t**3) / 2,
                (t**3 - t**2) / 2,
            )
            curve.append(
                (
                    ax * w[0] + bx * w[1] + cx * w[2] + dx * w[3],
                    ay * w[0] + by * w[1] + cy * w[2] + dy * w[3],
                )
            )
    return curve if closed else [*curve, points[-1]]


def sided(side: int, points: Iterable[Point]) -> Points:
    """Points listed for the right side (1), or their mirror image for the left side (-1)."""
    return [(side * x, y) for x, y in points]


def shift(points: Iterable[Point], dx: float, dy: float) -> Points:
    """The points, moved."""
    return [(x + dx, y + dy) for x, y in points]


def both(half: Sequence[Point]) -> Points:
    """Close the right half of a shape, listed from top to bottom, with its mirror image."""
    return spline([*half, *sided(-1, [point for point in reversed(half) if point[0]])])


def ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    """An ellipse around (x, y)."""
    turn = [math.tau * i / 72 for i in range(72)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in turn]


def stroke(points: Sequence[Point], width: float, start: float = 0.1, end: float = 0.1) -> Points:
    """A brush stroke along the points; ``start`` and ``end`` are its shares of width there."""
    line = spline(points, closed=False)
    left: Points = []
    right: Points = []
    for i, (x, y) in enumerate(line):
        (ax, ay), (bx, by) = line[max(i - 1, 0)], line[min(i + 1, len(line) - 1)]
        length = math.hypot(bx - ax, by - ay) or 1.0
        t = i / (len(line) - 1)
        half = width / 2 * max(math.sin(math.pi * t) ** 0.6, start * (1 - t) + end * t)
        nx, ny = -(by - ay) / length * half, (bx - ax) / length * half
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return left + right[::-1]


class Canvas:
    """A large picture on which shapes are filled in portrait coordinates."""

    def __init__(self) -> None:
        self.size = (WIDTH * SUPERSAMPLE, HEIGHT * SUPERSAMPLE)
        self.image = Image.new("RGB", self.size)

    def _box(self, shapes: Sequence[Sequence[Point]], blur: float) -> tuple[int, int, int, int]:
        """The pixels that the shapes may touch, so that no work is spent on the others."""
        x = [point[0] + WIDTH / 2 for shape in shapes for point in shape]
        y = [point[1] for shape in shapes for point in shape]
        room = 3 * blur + 2
        left, right = max(min(x) - room, 0), min(max(x) + room, WIDTH)
        upper, lower = max(min(y) - room, 0), min(max(y) + room, HEIGHT)
        left, upper = min(left, WIDTH - 1), min(upper, HEIGHT - 1)
        right, lower = max(right, left + 1), max(lower, upper + 1)
        return (
            math.floor(left) * SUPERSAMPLE,
            math.floor(upper) * SUPERSAMPLE,
            math.ceil(right) * SUPERSAMPLE,
            math.ceil(lower) * SUPERSAMPLE,
        )

    def mask(self, *shapes: Sequence[Point], blur: float = 0) -> Image.Image:
        """A mask that covers all the shapes, with soft edges if ``blur`` is given."""
        box = self._box(shapes, blur)
        part = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        pen = ImageDraw.Draw(part)
        for shape in shapes:
            pen.polygon(
                [
                    ((x + WIDTH / 2) * SUPERSAMPLE - box[0], y * SUPERSAMPLE - box[1])
                    for x, y in shape
                ],
                255,
            )
        if blur:
            part = part.filter(ImageFilter.GaussianBlur(blur * SUPERSAMPLE))
        mask = Image.new("L", self.size)
        mask.paste(part, box)
        return mask

    def fill(
        self,
        color: str,
        *shapes: Sequence[Point],
        to: str = "",
        blur: float = 0,
        alpha: float = 1,
        inside: Image.Image | None = None,
    ) -> Image.Image:
        """Fill the shapes and return their mask; ``to`` turns the colour into a gradient."""
        box = self._box(shapes, blur)
        mask = self.mask(*shapes, blur=blur)
        part = mask.crop(box)
        if inside is not None:
            part = ImageChops.multiply(part, inside.crop(box))
            mask.paste(part, box)
        paint = Image.new("RGB", part.size, color)
        if to:
            ramp = Image.linear_gradient("L").resize(part.size)
            paint = Image.composite(Image.new("RGB", part.size, to), paint, ramp)
        part = part.point([round(v * alpha) for v in range(256)])
        self.image.paste(paint, box, part)
        return mask


# --- parts of a portrait ------------------------------------------------------------------------


def draw_backdrop(c: Canvas, p: Person, rng: random.Random) -> None:
    """The wall behind the person: a gradient, an ornament and a glow around the head."""
    light, deep = p.backdrop
    c.fill(light, [(-256, 0), (256, 0), (256, 640), (-256, 640)], to=deep)
    pale, dim = lighter(light, 0.6), mix(light, deep, 0.75)
    if p.decor == "rings":
        for radius, alpha in ((270.0, 0.25), (225, 0.35), (180, 0.5)):
            c.fill(pale, ellipse(0, 285, radius, radius), alpha=alpha)
    elif p.decor == "arch":
        for reach, color, alpha in ((198, pale, 0.6), (170, dim, 0.55)):
            arc = [(reach * math.cos(t / 30), 265 - reach * math.sin(t / 30)) for t in range(95)]
            c.fill(color, [(reach, 640), *arc, (-reach, 640)], alpha=alpha)
    elif p.decor == "window":
        for x, y in ((-226.0, 40.0), (40.0, 40.0), (-226.0, 340.0), (40.0, 340.0)):
            pane = [(x, y), (x + 186, y), (x + 186, y + 270), (x, y + 270)]
            c.fill(pale, pane, blur=5, alpha=0.55)
    elif p.decor == "dots":
        for y in range(0, 660, 44):
            row = range(-264 + y // 44 % 2 * 22, 270, 44)
            c.fill(pale, *(ellipse(x, y, 5, 5) for x in row), alpha=0.7)
    elif p.decor == "stripes":
        for left in range(-700, 300, 96):
            stripe = [(0, 640), (48, 640), (448, 0), (400, 0)]
            c.fill(pale, shift(stripe, left, 0), alpha=0.45)
    elif p.decor == "hills":
        c.fill("#fff0d2", ellipse(150, 150, 58, 58), alpha=0.9)
        for y, alpha in ((330, 0.3), (410, 0.4), (490, 0.5)):
            hill = [(u, y + 34 * math.sin(u / 70 + y)) for u in range(-260, 270, 10)]
            c.fill(darker(deep, 0.25), [*hill, (256, 640), (-256, 640)], alpha=alpha)
    elif p.decor == "leaves":
        for side in (-1, 1):
            for i in range(7):
                x, y = 245.0 - 22 * (i % 2), 30.0 + 88 * i
                tip = (x - 92, y - 58 + rng.uniform(-14, 14))
                bend, lift = (x + tip[0]) / 2, (y + tip[1]) / 2
                leaf = [(x, y), (x, y), (bend - 8, lift - 20), tip, tip, (bend + 8, lift + 20)]
                c.fill(mix(deep, "#4f9162", 0.5), spline(sided(side, leaf)), alpha=0.55)
    elif p.decor == "bokeh":
        for _ in range(26):
            x, y, radius = rng.uniform(-256, 256), rng.uniform(0, 600), rng.uniform(14, 48)
            c.fill(pale, ellipse(x, y, radius, radius), blur=2, alpha=rng.uniform(0.15, 0.4))
    c.fill(pale, ellipse(0, 290, 150, 175), blur=45, alpha=0.65)


def face_shape(p: Person) -> Points:
    """The outline of the face, from the crown to the chin."""
    j = p.jaw
    return both(
        [(0, 156), (52, 170), (86, 212), (93, 262), (90 * (1 + j) / 2, 310), (79 * j, 356),
         (50 * j, 393), (20 * j, 409), (0, 411)]
    )  # fmt: skip


BODY: Points = [
    (0, 440), (40, 440), (72, 456), (128, 474), (178, 502), (204, 566), (214, 660), (0, 660),
]  # fmt: skip


def draw_body(c: Canvas, p: Person, face: Points) -> None:
    """Shoulders, clothes, neck and the shadow of the chin."""
    cloth, fold = p.top, darker(p.top, 0.35)
    shoulders = both([(x if x < 60 else 60 + (x - 60) * p.build, y) for x, y in BODY])
    c.fill(darker(p.backdrop[1], 0.4), shift(shoulders, 6, 8), blur=14, alpha=0.35)
    body = c.fill(lighter(cloth, 0.12), shoulders, to=darker(cloth, 0.22))
    if p.outfit == "stripes":
        for y in range(470, 660, 34):
            band = [(x, y + 14 - abs(x) * abs(x) / 3000) for x in range(-230, 231, 10)]
            c.fill(p.accent, [*band, *shift(reversed(band), 0, 13)], inside=body)
    if p.outfit == "stripes":
        fold = darker(p.accent, 0.3)
    arm_x = 138 * p.build
    for side in (-1, 1):  # the folds at the arms
        arm = stroke([(side * arm_x, 660), (side * (arm_x - 4), 600), (side * (arm_x + 8), 556)], 7)
        c.fill(fold, arm, blur=2, alpha=0.5, inside=body)
        c.fill(fold, ellipse(side * 216 * p.build, 610, 40, 110), blur=18, alpha=0.4, inside=body)

    depth = {"vneck": 548, "denim": 508, "shirt": 500, "idol": 500}.get(p.outfit, 482)
    round_neck = [(0, 360), (43, 368), (43, 425), (50, 446), (62, 455), (44, 474), (0, depth)]
    sharp_neck = [(0, 360), (43, 368), (43, 425), (50, 446), (64, 454), (64, 454)]
    pointed = [*spline([*sharp_neck, (0, depth), (0, depth), *sided(-1, reversed(sharp_neck))])]
    opening = pointed if depth > 490 else both(round_neck)
    if p.outfit in ("vneck", "crew", "stripes"):
        c.fill(darker(cloth, 0.25), shift(opening, 0, 9), inside=body)
    neck = c.fill(p.skin, opening, to=darker(p.skin, 0.06))
    c.fill(mix(darker(p.skin, 0.4), "#a0402f", 0.15), shift(face, 0, 26), blur=7, alpha=0.7,
           inside=neck)  # fmt: skip
    for side in (-1, 1):  # the collar bones
        bone = stroke([(side * 14, 474), (side * 34, 466), (side * 60, 462)], 4)
        c.fill(darker(p.skin, 0.3), bone, blur=1.5, alpha=0.4, inside=neck)
    draw_collar(c, p, body)


def draw_collar(c: Canvas, p: Person, body: Image.Image) -> None:
    """What an outfit has on top of the plain shoulders."""
    cloth, fold = p.top, darker(p.top, 0.35)
    if p.outfit == "blazer":
        c.fill("#fbf8f2", [(-50, 446), (50, 446), (36, 660), (-36, 660)], to="#d9d5d2")
        if p.accent != cloth:  # a tie
            c.fill(p.accent, [(-13, 484), (13, 484), (9, 508), (22, 660), (-22, 660), (-9, 508)])
            c.fill(darker(p.accent, 0.3), [(-9, 508), (9, 508), (11, 518), (-11, 518)], blur=2)
        for side in (-1, 1):
            half = [(44, 438), (70, 448), (112, 512), (88, 528), (102, 546), (20, 662), (6, 662)]
            lapel = sided(side, half)
            c.fill(fold, shift(lapel, side * 3, 5), blur=4, alpha=0.6, inside=body)
            c.fill(lighter(cloth, 0.14), lapel, to=darker(cloth, 0.08))
    if p.outfit in ("shirt", "blazer", "denim"):
        plain = "#fffdf8" if p.outfit == "blazer" else lighter(cloth, 0.25)
        if p.outfit != "blazer":
            c.fill(fold, stroke([(0, 500), (0, 580), (0, 700)], 3, 1, 1), alpha=0.7)
            for y in (536, 590):
                c.fill(lighter(cloth, 0.6), ellipse(9, y, 4.5, 4.5))
        for side in (-1, 1):
            collar: Points = [(46, 428), (72, 450), (70, 516), (62, 522), (2, 504), (38, 466)]
            if p.outfit == "blazer":
                collar = [(46, 428), (64, 446), (58, 506), (50, 512), (2, 486), (34, 462)]
            collar = sided(side, collar)
            c.fill("#2a1a28", shift(collar, 0, 6), blur=5, alpha=0.35, inside=body)
            c.fill(plain, collar, to=darker(plain, 0.1))
        if p.outfit == "denim":
            for side in (-1, 1):
                seam = stroke([(side * 62, 524), (side * 96, 540), (side * 180, 534)], 2.5, 1, 1)
                c.fill("#e0b070", seam, alpha=0.8, inside=body)
    elif p.outfit == "turtleneck":
        roll = both([(0, 408), (44, 400), (54, 416), (64, 446), (67, 468), (42, 482), (0, 488)])
        c.fill(fold, shift(roll, 0, 7), blur=5, alpha=0.7, inside=body)
        mask = c.fill(lighter(cloth, 0.18), roll, to=darker(cloth, 0.1))
        for x in range(-60, 61, 9):
            rib = stroke([(x * 0.86, 396), (x * 0.92, 440), (x, 490)], 2.5, 1, 1)
            c.fill(fold, rib, alpha=0.3, inside=mask)
        c.fill("#1d0f1c", shift(face_shape(p), 0, 18), blur=6, alpha=0.35, inside=mask)
    elif p.outfit == "hoodie":
        for side in (-1, 1):
            half = [(46, 414), (84, 430), (112, 462), (84, 496), (30, 520), (4, 506), (38, 470)]
            hood = spline(sided(side, half))
            c.fill(fold, shift(hood, 0, 8), blur=5, alpha=0.7)
            c.fill(lighter(cloth, 0.15), hood, to=darker(cloth, 0.2))
            cord = sided(side, [(24, 510), (27, 560), (24, 604)])
            c.fill("#fff7ea", stroke(cord, 5, 1, 1))
    elif p.outfit == "idol":
        for side in (-1, 1):
            flap = [(44, 430), (84, 462), (104, 528), (4, 500), (40, 470)]
            c.fill("#ffffff", sided(side, flap), to="#dfe3f7")
            trim = [(side * 96, 516), (side * 50, 505), (side * 8, 494)]
            c.fill(p.accent, stroke(trim, 4, 1, 1))
            bow = [(0, 508), (44, 486), (50, 540), (0, 520)]
            c.fill(p.accent, spline(sided(side, bow)), to=darker(p.accent, 0.25))
        c.fill(darker(p.accent, 0.2), ellipse(0, 513, 10, 12))


def draw_head(c: Canvas, p: Person, face: Points) -> Image.Image:
    """Ears and an empty face; the mask of the face is returned, for things drawn inside it."""
    warm = mix(darker(p.skin, 0.28), "#c2452f", 0.15)
    for side in (-1, 1):
        ear = c.fill(p.skin, ellipse(side * 94, 300, 14, 25), to=darker(p.skin, 0.1))
        c.fill(warm, ellipse(side * 96, 300, 7, 15), blur=3, alpha=0.7, inside=ear)
    head = c.fill(lighter(p.skin, 0.1), face, to=darker(p.skin, 0.05))
    rim = ImageChops.subtract(head, c.mask(shift(face, -7, -6), blur=13))
    c.fill(warm, face, alpha=0.75, inside=rim)
    for side in (-1, 1):
        c.fill(
            "#e0453f",
            ellipse(side * 56, 338, 23, 15),
            blur=9,
            alpha=0.24 if p.lashes else 0.14,
            inside=head,
        )
    c.fill(lighter(p.skin, 0.6), ellipse(-14, 222, 46, 24), blur=20, alpha=0.3, inside=head)
    return head


def draw_eyes(c: Canvas, p: Person, head: Image.Image) -> None:
    """Eyes, lids, lashes and eyebrows."""
    width, height = p.eye
    ink = darker(mix(p.hair, "#2a1712", 0.7), 0.4)
    brow = mix(darker(p.hair, 0.3), p.skin, 0.06)
    for side in (-1, 1):
        x, y = side * 42, 292.0

        def at(dx: float, dy: float, s: int = side, x: float = x, y: float = y) -> Point:
            return x + s * dx, y + dy  # dx counts from the nose outwards

        upper = [at(-width, 4), at(-width * 0.5, -height * 0.75), at(2, -height),
                 at(width * 0.65, -height * 0.62), at(width, 1)]  # fmt: skip
        lower = [
            at(width * 0.55, height * 0.62),
            at(0, height * 0.82),
            at(-width * 0.6, height * 0.6),
        ]
        almond = spline([upper[0], *upper, upper[-1], *lower])
        shade = darker(p.skin, 0.3)
        c.fill(shade, ellipse(x, y - 10, width + 5, 13), blur=6, alpha=0.4, inside=head)
        white = c.fill("#fdfaf6", almond)
        radius = height * 0.96
        c.fill(darker(p.eyes, 0.45), ellipse(x, y - 1, radius, radius), inside=white)
        c.fill(darker(p.eyes, 0.1), ellipse(x, y - 1, radius - 1.6, radius - 1.6),
               to=lighter(p.eyes, 0.35), inside=white)  # fmt: skip
        c.fill("#140c10", ellipse(x, y - 1, radius * 0.48, radius * 0.48), inside=white)
        c.fill("#30202c", shift(stroke(upper, 9), 0, 3), blur=2, alpha=0.4, inside=white)
        c.fill("#ffffff", ellipse(x + 4, y - 5, radius * 0.28, radius * 0.28),
               ellipse(x - 4, y + 4, radius * 0.13, radius * 0.13), inside=white)  # fmt: skip
        c.fill(ink, stroke(upper, 5 if p.lashes else 3.6, 0.2, 0.5))
        c.fill(shade, stroke([upper[-1], *lower, upper[0]], 1.8), alpha=0.7)
        c.fill(shade, stroke(shift(upper[:-1], 0, -6), 2), alpha=0.8)
        if p.lashes:
            wing = [at(width * 0.7, -height * 0.55), at(width + 1, -1), at(width + 7, -6)]
            c.fill(ink, stroke(wing, 4.5, 0.7, 0.05))
            for t, reach in ((0.6, 4.5), (0.82, 5)):
                x0, y0 = width * t, -height * (1 - t**2.6)
                lash = [at(x0 - 1, y0), at(x0 + 3, y0 - reach * 0.5), at(x0 + 5, y0 - reach)]
                c.fill(ink, stroke(lash, 2.4, 0.9, 0.1))
        arch = [at(-23, -29), at(-6, -34), at(12, -34), at(29, -25)]
        c.fill(brow, stroke(arch, p.brow, 0.75, 0.15), blur=0.6, alpha=0.92)
        for i in range(round(p.age * 3)):
            line = [at(width + 6, 2 + 3 * i), at(width + 12, 2 + 6 * i), at(width + 17, 1 + 8 * i)]
            c.fill(shade, stroke(line, 1.8), alpha=0.5)


def draw_nose_and_mouth(c: Canvas, p: Person, head: Image.Image) -> None:
    """Nose and lips; the lips are closed, or parted in a smile that shows teeth."""
    warm = mix(darker(p.skin, 0.32), "#b8402c", 0.2)
    c.fill(warm, stroke([(15, 290), (10, 318), (17, 338)], 12), blur=5, alpha=0.4, inside=head)
    c.fill(lighter(p.skin, 0.7), ellipse(-2, 312, 4, 20), blur=4, alpha=0.45)
    c.fill(lighter(p.skin, 0.7), ellipse(-2, 332, 6, 5), blur=3, alpha=0.5)
    n = p.nose
    wings = [(-17 * n, 334), (-15 * n, 343), (-7 * n, 343), (0, 347), (7 * n, 343), (15 * n, 343),
             (17 * n, 334)]  # fmt: skip
    c.fill(warm, stroke(wings, 3.2, 0.2, 0.2), blur=0.4, alpha=0.9)
    nostrils = [ellipse(side * 8 * n, 343, 3.6 * n, 2) for side in (-1, 1)]
    c.fill(darker(warm, 0.4), *nostrils, blur=0.8, alpha=0.8)

    y, w, up, full = 371.0, 30.0, p.smile, p.full
    left, right = (-w, y - up), (w, y - up)
    seam = [left, (-w * 0.5, y - up * 0.25), (0, y), (w * 0.5, y - up * 0.25), right]
    peaks: Points = [(-15, y - 6.5 * full), (-6, y - 9.5 * full), (0, y - 7.5 * full)]
    peaks += sided(-1, peaks[1::-1])
    drop = 6.0 if p.teeth else 0.0
    belly = [(18, y + 7 * full + drop), (0, y + 11 * full + drop * 1.3), (-18, y + 7 * full + drop)]
    dark = darker(p.lips, 0.55)
    c.fill(warm, ellipse(0, y + 20 + drop, 18, 5), blur=4, alpha=0.5, inside=head)
    c.fill(lighter(p.lips, 0.08), spline([right, *belly, left, *seam]), to=p.lips)
    c.fill(darker(p.lips, 0.14), spline([left, *peaks, right, *reversed(seam)]))
    if p.teeth:
        inner = [(x * 0.88, v + 0.4) for x, v in seam]
        gap = [*inner, inner[-1], (15, y + 6), (0, y + 9.5), (-15, y + 6), inner[0]]
        mouth = c.fill(darker(p.lips, 0.65), spline(gap))
        teeth = [*shift(inner, 0, -2), (17, y + 3), (0, y + 6.5), (-17, y + 3)]
        c.fill("#fffaf4", spline(teeth), inside=mouth)
    else:
        c.fill(dark, stroke(seam, 2.6, 0.4, 0.4))
    c.fill(
        lighter(p.lips, 0.7), ellipse(-3, y + 5.5 * full + drop * 1.2, 9, 2), blur=1.6, alpha=0.5
    )
    for side in (-1, 1):
        c.fill(dark, ellipse(side * (w + 1), y - up, 2.4, 2), blur=1, alpha=0.7)
        if p.age:
            crease = [(side * 25, 340), (side * 40, 356), (side * 43, 374)]
            c.fill(warm, stroke(crease, 2.6), blur=0.8, alpha=0.55 * p.age)


def draw_beard(c: Canvas, p: Person, head: Image.Image, rng: random.Random) -> None:
    """The beard, around the mouth that is already there."""
    tone = mix(p.hair, darker(p.hair, 0.3), 0.5)
    hole = c.mask(ellipse(0, 374, 30, 11), blur=5 if p.beard == "stubble" else 1.5)
    outside = ImageChops.invert(hole)
    lip = [(-44, 380), (-34, 362), (-14, 353), (0, 357), (14, 353), (34, 362), (44, 380)]
    if p.beard == "stubble":
        jaw = both([(0, 350), (40, 352), (76, 340), (92, 300), (96, 380), (60, 430), (0, 430)])
        c.fill(tone, jaw, blur=7, alpha=0.28, inside=ImageChops.multiply(head, outside))
    elif p.beard == "full":
        jaw = both([(0, 351), (22, 352), (44, 366), (68, 350), (84, 316), (94, 272), (98, 300),
                    (95, 350), (80, 404), (48, 440), (0, 452)])  # fmt: skip
        c.fill("#1d0f1c", shift(jaw, 0, 10), blur=8, alpha=0.35)
        mask = c.fill(lighter(tone, 0.08), jaw, to=darker(tone, 0.2), inside=outside)
        for _ in range(150):
            x, y = rng.uniform(-92, 92), rng.uniform(300, 440)
            hair = [(x, y), (x * 0.97, y + 10), (x * 0.9, y + 19)]
            shade = lighter(tone, 0.3) if rng.random() < 0.5 else darker(tone, 0.35)
            c.fill(shade, stroke(hair, 1.8), alpha=0.5, inside=mask)
    elif p.beard == "goatee":
        chin = both([(0, 393), (13, 394), (25, 388), (36, 374), (40, 388), (31, 411), (0, 422)])
        c.fill(tone, chin, blur=2, alpha=0.9, inside=outside)
        c.fill(tone, stroke(lip, 7), blur=1, alpha=0.8)
    if p.beard in ("moustache", "full"):
        for side in (-1, 1):
            half = [(-1, 349), (14, 348), (32, 354), (47, 373), (30, 367), (14, 364), (-1, 363)]
            shape = spline(sided(side, half))
            mask = c.fill(lighter(tone, 0.1), shape, to=darker(tone, 0.2))
            for i in range(9):
                hair = [
                    (side * (2 + i * 3), 350),
                    (side * (8 + i * 4), 358),
                    (side * (16 + i * 4), 370),
                ]
                c.fill(lighter(tone, 0.3), stroke(hair, 1.4), alpha=0.4, inside=mask)


# --- hair ---------------------------------------------------------------------------------------

# Shapes behind the head, and shapes over it; the listed points are the right half, from the top,
# unless the style is in LOPSIDED, where they go all the way round.
BACK: dict[str, Points] = {
    "waves": [(0, 132), (66, 142), (112, 190), (120, 260), (116, 330), (134, 400), (120, 470),
              (112, 520), (0, 500)],
    "bob": [(0, 132), (64, 145), (112, 190), (120, 270), (124, 350), (116, 412), (60, 420),
            (0, 410)],
    "twintails": [(0, 138), (62, 144), (104, 186), (108, 260), (98, 330), (60, 380), (0, 380)],
}  # fmt: skip

FRONT: dict[str, list[Points]] = {
    "waves": [[(0, 132), (66, 140), (112, 186), (122, 246), (112, 306), (128, 362), (120, 418),
               (142, 474), (130, 530), (138, 572), (104, 574), (86, 540), (100, 490), (82, 440),
               (100, 390), (88, 340), (96, 290), (86, 240), (50, 204), (0, 164), (0, 164)]],
    "swept": [[(-96, 288), (-103, 232), (-98, 180), (-66, 146), (-20, 122), (40, 116), (88, 138),
               (108, 184), (104, 236), (96, 288), (96, 288), (88, 246), (80, 214), (46, 220),
               (0, 212), (-40, 192), (-58, 184), (-58, 184), (-70, 212), (-84, 236), (-96, 288)]],
    "fade": [[(0, 130), (52, 135), (87, 158), (97, 200), (97, 246), (94, 280), (88, 246),
              (82, 214), (66, 204), (30, 200), (0, 200)]],
    "twists": [[(0, 138), (56, 142), (90, 166), (98, 206), (97, 246), (94, 280), (88, 246),
                (82, 218), (66, 206), (30, 202), (0, 202)]],
    "bob": [[(0, 132), (64, 145), (112, 190), (120, 270), (124, 350), (116, 416), (84, 412),
             (95, 350), (93, 290), (90, 256), (60, 262), (30, 264), (0, 264)]],
    "pixie": [[(-94, 300), (-112, 250), (-110, 184), (-72, 140), (-10, 122), (60, 130),
               (106, 170), (114, 236), (96, 306), (96, 306), (90, 260), (78, 226), (36, 240),
               (-14, 222), (-44, 190), (-44, 190), (-62, 226), (-84, 250), (-94, 300)]],
    "bun": [[(0, 146), (56, 148), (94, 184), (102, 236), (97, 286), (97, 286), (90, 252),
             (76, 224), (44, 206), (0, 200)]],
    "tousled": [[(-94, 292), (-104, 262), (-110, 216), (-106, 174), (-86, 142), (-58, 126),
                 (-30, 104), (6, 112), (44, 100), (74, 126), (102, 148), (106, 190), (114, 224),
                 (104, 262), (95, 294), (95, 294), (91, 256), (80, 222), (80, 222), (50, 214),
                 (30, 190), (30, 190), (8, 216), (-40, 220), (-40, 220), (-52, 206), (-52, 206),
                 (-76, 234), (-90, 262), (-94, 292)]],
    "twintails": [[(0, 142), (60, 146), (104, 188), (106, 250), (104, 320), (96, 384), (84, 340),
                   (90, 270), (76, 236), (62, 266), (48, 234), (30, 266), (14, 236), (0, 262)]],
}  # fmt: skip
LOPSIDED = {"swept", "pixie", "tousled"}
PARTING = {"waves": (0, 150), "swept": (-62, 170), "pixie": (-46, 170), "tousled": (20, 150)}


def comb(c: Canvas, color: str, shape: Points, root: Point, rng: random.Random,
         inside: Image.Image) -> None:  # fmt: skip
    """Strands of hair, lighter and darker, that fall from the root to the edge of the shape."""
    strands: tuple[list[Points], list[Points]] = ([], [])
    for i in range(70):
        x, y = shape[rng.randrange(len(shape))]
        bend = (root[0] + (x - root[0]) * 0.72, root[1] + (y - root[1]) * rng.uniform(0.2, 0.34))
        start = (root[0] + rng.uniform(-12, 12), root[1] - 4)
        strands[i % 2].append(stroke([start, bend, (x, y)], rng.uniform(1.5, 4.5)))
    c.fill(darker(color, 0.4), *strands[0], alpha=0.4, inside=inside)
    c.fill(lighter(color, 0.25), *strands[1], alpha=0.4, inside=inside)


def curl(c: Canvas, color: str, x: float, y: float, radius: float, rng: random.Random) -> None:
    """One lock of curly hair: a ball with a bright arc."""
    c.fill(lighter(color, 0.08), ellipse(x, y, radius, radius), to=darker(color, 0.3))
    turn = rng.uniform(-2.6, -1.6)
    arc = [(x + radius * 0.62 * math.cos(turn + t), y + radius * 0.62 * math.sin(turn + t))
           for t in (-0.8, 0.0, 0.8)]  # fmt: skip
    c.fill(lighter(color, 0.35), stroke(arc, radius * 0.22), alpha=0.5)


def draw_hair_behind(c: Canvas, p: Person, rng: random.Random) -> None:
    """The hair that the head and the shoulders cover."""
    deep = darker(p.hair, 0.35)
    if p.style in BACK:
        c.fill(darker(p.hair, 0.2), both(BACK[p.style]), to=darker(p.hair, 0.5))
    if p.style == "bun":
        knot = ellipse(0, 118, 48, 40)
        mask = c.fill(lighter(p.hair, 0.1), knot, to=darker(p.hair, 0.3))
        for i in range(-2, 3):
            swirl = [(i * 20 - 14, 76), (i * 20 + 10, 108), (i * 15, 150)]
            c.fill(deep, stroke(swirl, 4), alpha=0.4, inside=mask)
    elif p.style == "afro":
        c.fill(deep, ellipse(0, 226, 150, 146))
        for reach, count in ((150, 44), (130, 38), (108, 32), (86, 26), (60, 18)):
            for i in range(count):
                turn = math.tau * (i + rng.uniform(-0.2, 0.2)) / count
                x, y = reach * math.cos(turn), 226 + 0.97 * reach * math.sin(turn)
                curl(c, p.hair, x, y, rng.uniform(14, 19), rng)
    elif p.style == "curls":
        c.fill(deep, ellipse(0, 300, 126, 136))
        for y in range(500, 150, -24):
            for side in (-1, 1):
                for x in (136, 112, 88):
                    wide = 1.0 - max(0, 230 - y) / 230
                    spot = side * (x * wide + rng.uniform(-10, 10))
                    curl(c, p.hair, spot, y + rng.uniform(-9, 9), rng.uniform(17, 25), rng)
    elif p.style == "twists":
        c.fill(deep, ellipse(0, 142, 88, 36))
    elif p.style == "twintails":
        for side in (-1, 1):
            tail = [(96, 214), (140, 196), (186, 250), (196, 340), (184, 440), (196, 520),
                    (160, 560), (166, 500), (138, 430), (134, 330), (112, 262)]  # fmt: skip
            shape = spline(sided(side, tail))
            mask = c.fill(lighter(p.hair, 0.12), shape, to=mix(p.hair, "#7d6be0", 0.65))
            comb(c, p.hair, shape, (side * 112, 228), rng, mask)
            c.fill(p.accent, ellipse(side * 108, 232, 15, 22), to=darker(p.accent, 0.3))


def loc(c: Canvas, color: str, line: Points) -> None:
    """One twist of hair along the line, with the bands that show it is twisted."""
    caps = [ellipse(*line[0], 8, 8), ellipse(*line[-1], 7, 7)]
    twist = [stroke(line, 18, 0.85, 0.8), *caps]
    c.fill(darker(color, 0.6), *(shift(part, 1, 2.5) for part in twist), blur=1)
    mask = c.fill(lighter(color, 0.16), *twist, to=darker(color, 0.15))
    spots = spline(line, closed=False, steps=4)[1:]
    bands = [stroke([(x - 10, y + 4), (x, y - 1), (x + 10, y - 4)], 2.6) for x, y in spots]
    c.fill(lighter(color, 0.4), *bands, alpha=0.35, inside=mask)


def draw_hair(c: Canvas, p: Person, head: Image.Image, rng: random.Random) -> None:
    """The hair (or the cloth) that covers the head."""
    shapes = [spline(s) if p.style in LOPSIDED else both(s) for s in FRONT.get(p.style, [])]
    for shape in shapes:
        c.fill(darker(p.skin, 0.5), shift(shape, 0, 8), blur=6, alpha=0.5, inside=head)
        mask = c.fill(lighter(p.hair, 0.1), shape, to=darker(p.hair, 0.22))
        if p.style not in ("fade", "twists"):
            comb(c, p.hair, shape, PARTING.get(p.style, (0, 148)), rng, mask)
        shine = stroke([(-84, 214), (-50, 176), (0, 164), (50, 176), (84, 214)], 22)
        c.fill(lighter(p.hair, 0.6), shine, blur=8, alpha=0.3, inside=mask)
    if p.style in ("afro", "curls"):
        count = 17
        for row, radius in ((16, 20.0), (0, 19.0)):
            for i in range(count):
                turn = math.pi * (1 + i / (count - 1))
                x, y = (96 + row) * math.cos(turn), 252 + (82 + row) * math.sin(turn)
                curl(c, p.hair, x + rng.uniform(-5, 5), y + rng.uniform(-5, 5), radius, rng)
    elif p.style == "twists":
        for row in range(5):
            for i in sorted(range(-6, 7), key=abs, reverse=True):
                x, y = i * (12 + row * 0.6) + rng.uniform(-4, 4), 150 + row * 11 + i * i * 0.5
                lean, rise = i * 4.5 + rng.uniform(-7, 7), 34 - row * 12 + rng.uniform(-4, 4)
                loc(c, p.hair, [(x, y), (x + lean * 0.5, y - rise - 10), (x + lean, y - rise + 4)])
    elif p.style == "bald":
        for side in (-1, 1):
            fuzz = [(93, 228), (100, 256), (99, 300), (90, 300), (86, 258)]
            c.fill(p.hair, spline(sided(side, fuzz)), blur=2, alpha=0.9)
    elif p.style == "turban":
        draw_turban(c, p, head)
    elif p.style == "hijab":
        draw_hijab(c, p)


def draw_turban(c: Canvas, p: Person, head: Image.Image) -> None:
    """A turban, folded from both sides to the middle."""
    wrap = both([(0, 84), (56, 96), (102, 136), (117, 192), (106, 250), (98, 262), (76, 226),
                 (40, 202), (0, 186)])  # fmt: skip
    c.fill(darker(p.skin, 0.5), shift(wrap, 0, 8), blur=6, alpha=0.55, inside=head)
    mask = c.fill(lighter(p.accent, 0.12), wrap, to=darker(p.accent, 0.25))
    for i in range(6):
        for side in (-1, 1):
            fold = [(-side * 14, 190 - i * 19), (side * (40 + i * 4), 194 - i * 15),
                    (side * 116, 256 - i * 24)]  # fmt: skip
            c.fill(darker(p.accent, 0.5), stroke(fold, 5, 0.4, 0.4), blur=1, alpha=0.5, inside=mask)
            c.fill(lighter(p.accent, 0.4), stroke(shift(fold, 0, -6), 4), blur=1.5, alpha=0.4,
                   inside=mask)  # fmt: skip


def draw_hijab(c: Canvas, p: Person) -> None:
    """A headscarf, which leaves a window for the face."""
    cloth = p.accent
    outer = both([(0, 124), (62, 140), (110, 186), (124, 260), (120, 340), (116, 410), (150, 462),
                  (176, 530), (120, 596), (0, 610)])  # fmt: skip
    window = both([(0, 184), (50, 194), (80, 232), (86, 290), (74, 352), (46, 392), (0, 408)])
    around = ImageChops.subtract(c.mask(outer), c.mask(window))
    c.fill("#1d0f1c", shift(outer, 0, 8), blur=9, alpha=0.35,
           inside=ImageChops.invert(c.mask(window)))  # fmt: skip
    c.fill(lighter(cloth, 0.18), outer, to=darker(cloth, 0.25), inside=around)
    edge = ImageChops.multiply(c.mask(window, blur=7), around)
    c.fill(darker(cloth, 0.5), outer, alpha=0.9, inside=edge)
    for i in range(5):
        drape = [(-112 + i * 6, 330 + i * 24), (-40 + i * 10, 440 + i * 26), (200, 410 + i * 44)]
        c.fill(darker(cloth, 0.5), stroke(drape, 6), blur=1.5, alpha=0.5, inside=around)
        c.fill(
            lighter(cloth, 0.5), stroke(shift(drape, 0, -9), 6), blur=3, alpha=0.4, inside=around
        )
    shine = stroke([(-92, 220), (-56, 168), (0, 152), (56, 168), (92, 220)], 16)
    c.fill(lighter(cloth, 0.6), shine, blur=6, alpha=0.35, inside=around)


# --- accessories --------------------------------------------------------------------------------


def draw_extras(c: Canvas, p: Person, head: Image.Image, rng: random.Random) -> None:
    """Freckles, earrings, a headset and glasses."""
    if p.extra == "freckles":
        for _ in range(46):
            x, y = rng.gauss(0, 36), rng.gauss(326, 8)
            dot = ellipse(x, y, rng.uniform(1, 1.9), rng.uniform(1, 1.7))
            c.fill("#b4603a", dot, alpha=0.55, inside=head)
    for side in (-1, 1):
        if p.extra == "pearls":
            c.fill("#fffaf2", ellipse(side * 99, 328, 8, 8), to="#c9bfc4")
        elif p.extra == "studs":
            c.fill("#f4d27a", ellipse(side * 98, 320, 4.5, 4.5), to="#a9761f")
        elif p.extra == "hoops":
            hoop = ellipse(side * 101, 352, 20, 26)
            c.fill("#e9b949", stroke([*hoop, hoop[0]], 5, 1, 1), to="#b27a1c")
        elif p.extra == "headset":
            c.fill("#33325f", ellipse(side * 100, 300, 17, 30), to="#1c1b3d")
            c.fill(p.accent, ellipse(side * 103, 300, 8, 17), to=lighter(p.accent, 0.5))
    if p.extra == "headset":
        band = [(-102, 284), (-106, 200), (-66, 146), (0, 130), (66, 146), (106, 200), (102, 284)]
        c.fill("#33325f", stroke(band, 13, 0.9, 0.9))
        c.fill(p.accent, stroke(shift(band, 0, -3), 3, 0.6, 0.6))
        c.fill("#33325f", stroke([(-98, 322), (-88, 372), (-52, 396)], 5, 1, 1))
        c.fill("#33325f", ellipse(-48, 397, 10, 7))
    if p.glasses:
        for side in (-1, 1):
            rx, ry = (32, 30) if p.glasses == "round" else (34, 25)
            lens = ellipse(0, 0, 1, 1)
            if p.glasses == "square":  # a rounded rectangle
                lens = [(math.copysign(abs(x) ** 0.5, x), math.copysign(abs(y) ** 0.5, y))
                        for x, y in lens]  # fmt: skip
            lens = [(side * 43 + x * rx, 296 + y * ry) for x, y in lens]
            glass = c.fill("#eaf6ff", lens, alpha=0.14)
            glint = [(-26, 312), (-4, 268), (6, 268), (-16, 312)]
            c.fill("#ffffff", shift(glint, side * 43, 0), blur=1, alpha=0.22, inside=glass)
            c.fill("#1d0f1c", shift(stroke([*lens, lens[0]], 4, 1, 1), 0, 4), blur=2, alpha=0.3)
            c.fill(p.accent, stroke([*lens, lens[0]], 4.6, 1, 1))
            c.fill(
                p.accent, stroke([(side * 75, 290), (side * 86, 288), (side * 96, 292)], 5, 1, 1)
            )
        c.fill(p.accent, stroke([(-13, 292), (0, 286), (13, 292)], 5, 1, 1))


def draw(p: Person) -> Image.Image:
    """One finished portrait, painted from the back to the front."""
    rng = random.Random(p.file)
    c = Canvas()
    face = face_shape(p)
    draw_backdrop(c, p, rng)
    draw_hair_behind(c, p, rng)
    draw_body(c, p, face)
    head = draw_head(c, p, face)
    draw_eyes(c, p, head)
    draw_nose_and_mouth(c, p, head)
    draw_beard(c, p, head, rng)
    draw_hair(c, p, head, rng)
    draw_extras(c, p, head, rng)

    width, height = p.size
    columns = c.size[0] if height > width else c.size[0] * 7 // 8  # a square comes closer
    rows = columns * height // width
    left, top = (c.size[0] - columns) // 2, (c.size[1] - rows) // 4
    box = (left, top, left + columns, top + rows)
    return c.image.resize(p.size, Image.Resampling.LANCZOS, box)


def with_palette(picture: Image.Image) -> Image.Image:
    """The picture in 256 colours, for a small PNG; the face gets more than its share."""
    width, height = picture.size
    face = picture.crop((width * 3 // 10, height * 36 // 100, width * 7 // 10, height * 68 // 100))
    sample = Image.new("RGB", (width, height + height // 2))
    sample.paste(picture, (0, 0))
    sample.paste(face.resize((width, height // 2), Image.Resampling.NEAREST), (0, height))
    palette = sample.quantize(256, kmeans=2)
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def main() -> None:
    """Draw everybody."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for person in PEOPLE:
        path = OUTPUT / person.file
        picture = draw(person)
        if path.suffix == ".jpg":
            picture.save(path, quality=88, optimize=True)
        else:
            with_palette(picture).save(path, optimize=True)
        print(f"{path.name}: {picture.width}x{picture.height}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
