"""Pictures to captions: one picture, many words.

The pictures are made by a rule: a shape of some colour and size somewhere on a white ground. The captions say so: "a
small red circle at the top left". A captioner reads a picture by a few convolutions, trained with the rest, and writes
word by word; at each word it looks anew at the grid of places that the convolutions have left.

One pair of shape and colour was kept back: no picture in training has a green triangle. To say it of a new picture is
not to remember a caption, but to see a colour, to see a shape, and to put them together. It does not come by itself, as
the figures say: it sees the triangle, and says that it has a colour in which it has seen triangles.

Below each word is what it looked at: what was not is dark. With real pictures it is the same: `unrolled train captioner
--data captions.tsv --set image=path` reads PNG and JPEG.
"""

import random

import numpy as np
from PIL import Image, ImageDraw

from unrolled import Captioner
from unrolled.data.captions import Captioned
from unrolled.inspection.attention import attention

random.seed(1)
SIDE = 32
COLOURS = {"red": "#d62728", "green": "#2ca02c", "blue": "#1f77b4", "black": "#222222"}
SHAPES = ("circle", "square", "triangle")
KEPT_BACK = ("green", "triangle")
WHERE = {"top left": (0, 0), "top right": (16, 0), "bottom left": (0, 16), "bottom right": (16, 16)}


def shape(draw: ImageDraw.ImageDraw, kind: str, colour: str, size: str, corner: tuple[int, int]) -> None:
    side = 7 if size == "small" else 13
    x, y = (place + random.randint(0, 15 - side) for place in corner)
    box = (x, y, x + side, y + side)
    if kind == "circle":
        draw.ellipse(box, fill=COLOURS[colour])
    elif kind == "square":
        draw.rectangle(box, fill=COLOURS[colour])
    else:
        draw.polygon([(x, y + side), (x + side, y + side), (x + side / 2, y)], fill=COLOURS[colour])


def picture(kept_back: bool) -> Captioned:
    while True:
        colour, kind, size = random.choice(list(COLOURS)), random.choice(SHAPES), random.choice(("small", "large"))
        if ((colour, kind) == KEPT_BACK) == kept_back:
            break
    where = random.choice(list(WHERE))
    image = Image.new("RGB", (SIDE, SIDE), "white")
    shape(ImageDraw.Draw(image), kind, colour, size, WHERE[where])
    return Captioned(image=np.asarray(image), caption=f"a {size} {colour} {kind} at the {where}")


train, valid = ([picture(False) for _ in range(count)] for count in (1000, 50))
tests = {"new pictures": [picture(False) for _ in range(100)], "green triangles": [picture(True) for _ in range(100)]}
captioner = Captioner(
    size=SIDE, blocks=[16, 32, 32], hidden_size=48, layers=1, word_size=16, attention_size=32, dropout=0.1,
    picture_dropout=0.0, readout_dropout=0.1,
)  # fmt: skip
captioner.fit(train, valid, epochs=20, checks=2, learning_rate=4e-3, batch_rows=32, averaging="none")
print("what is shown       words right (F1)   whole captions right")
found = {}
for name, test in tests.items():
    found[name] = figures = captioner.evaluate(test)["metrics"]
    print(f"  {name:16}  {figures['word_f1']:13.1%}  {figures['exact_match']:18.1%}")
kept = tests["green triangles"]
said = [str(one.caption).split() for one in captioner.predict(kept)]
right = {
    what: np.mean([words[place : place + 1] == [true] for words in said])
    for place, (what, true) in enumerate((("colour", "green"), ("shape", "triangle")), 2)
}
print("of green triangles it says", " and ".join(f"the {what} of {share:.0%}" for what, share in right.items()))

shown = [*tests["new pictures"][:3], kept[0]]
attention(captioner.task, shown, title="what each word looked at", facts={}).save("captions.png")

assert found["new pictures"]["exact_match"] > 0.8
