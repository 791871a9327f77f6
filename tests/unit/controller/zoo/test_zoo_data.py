"""The zoo's data that need no file: enlarged digits, dates, names of characters."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from argosy_controller.zoo.datasets import characters, dates
from argosy_controller.zoo.datasets.pictures import enlarged_digits


def test_digits_are_enlarged_pixel_by_pixel() -> None:
    data = enlarged_digits(0, 28, 1)
    images = np.concatenate([data.train.inputs["image"], data.test.inputs["image"]])
    assert images.shape == (1797, 1, 28, 28) and images.dtype == np.float32
    assert np.all(images[:, 0, :2] == 0) and images.max() == 1
    small = {one.tobytes() for one in (load_digits().images / 16).astype(np.float32)}
    assert all(one.tobytes() in small for one in np.ascontiguousarray(images[:, 0, 3:26:3, 3:26:3]))


def test_digits_in_three_colours_fill_the_picture() -> None:
    image = enlarged_digits(0, 32, 3).test.inputs["image"]
    assert image.shape == (719, 3, 32, 32)
    assert np.array_equal(image[:, 0], image[:, 2])
    assert np.array_equal(image[:, :, ::2], image[:, :, 1::2])


def test_dates_are_written_in_six_forms() -> None:
    day = date(1984, 9, 3)
    assert [dates.written(day, form) for form in range(6)] == [
        "3 september 1984",
        "september 3, 1984",
        "3 sep 1984",
        "sep 3, 1984",
        "3rd of september 1984",
        "1984, 3. september",
    ]
    assert [dates.written(date(2000, 1, number), 4).split()[0] for number in (1, 2, 11, 13, 22, 31)] == [
        *("1st", "2nd", "11th", "13th", "22nd", "31st")
    ]


@given(st.dates(dates.FIRST, dates.LAST), st.integers(0, 5))
def test_every_written_date_fits_and_can_be_read_back(day: date, form: int) -> None:
    text = dates.written(day, form)
    numbers = dates.encoded(text)
    assert len(numbers) == dates.LENGTH
    assert "".join(dates.LETTERS[one - 1] for one in numbers if one) == text


def test_dates_of_a_seed_are_the_same_and_no_day_is_in_both_parts() -> None:
    one, two = dates.dates(5, 300, 200), dates.dates(5, 300, 200)
    assert np.array_equal(one.train.inputs["text"], two.train.inputs["text"])
    assert one.train.inputs["text"].dtype == np.int32
    learnt, asked = ({tuple(day) for day in part.targets.tolist()} for part in (one.train, one.test))
    assert len(learnt) == 300 and len(asked) == 200 and not learnt & asked
    assert all("".join(dates.DIGITS[i] for i in day)[4] == "-" for day in asked)


def test_names_of_characters_are_those_of_unicode() -> None:
    found = dict(characters.named())
    assert len(found) > 10_000
    assert characters.KINDS[found["LATIN CAPITAL LETTER A"]] == "capital letter"
    assert characters.KINDS[found["DIGIT SEVEN"]] == "number"
    assert characters.KINDS[found["EURO SIGN"]] == "symbol"


def test_masks_show_where_letters_stand() -> None:
    data = characters.characters(0, 100)
    letters, mask = data.test.inputs["letters"], data.test.inputs["mask"]
    assert letters.shape == mask.shape == (100, characters.LENGTH)
    assert np.array_equal(mask > 0, letters > 0)
    assert np.all(mask[:, 0] == 1)
