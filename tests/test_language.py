"""The character model: its probabilities, its file, and what is refused."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pages import write_pages

from paragraph_ocr.models import ModelError
from paragraph_ocr.pipeline import language as language_module
from paragraph_ocr.pipeline.language import (
    ARRAYS,
    COUNTED,
    EDGE,
    OTHERS,
    RECORDS,
    SAMPLE_CHARACTERS,
    UNACCENTED_SHARE,
    LanguageModel,
    Languages,
    Mixture,
    Search,
    Table,
    save,
)
from training.synthesis.fonts import CHARSET, DECLARATIONS
from training.tasks.language import Material, cross_entropy, drop_entries, fit, load_tables, main

SEARCH = Search(width=4, weight=0.5, bonus=1.0, floor=1e-3, sure=0.995)
LINES = ["the cat sat on the mat", "the hat is on the cat", "that cat sat there"] * 5


ENGLISH = ["this is a cat at home", "the house is where they think", "which way is it then"] * 8
FRENCH = ["voici un chat blanc", "la maison est dans la rue", "quelle heure est il donc"] * 8
RECORD_LINES = ["12,40 EUR", "3 x 1,99", "Qty", "IBAN GB29 NWBK", "04/05", "Total 18,37"] * 20
DUTCH = ["het huis is van hem en mij", "ik ga vandaag naar de stad", "dat is een mooi boek zeg"] * 8
POLISH = ["dom jest nad rzek", "dzisiaj id do miasta", "to jest dobra ksi"] * 8
CHARACTERS = "".join(sorted(set("".join(LINES + ENGLISH + FRENCH + DUTCH + POLISH + RECORD_LINES)))) + "éż"


def write(folder: Path, texts: dict[str, list[str]] | None = None) -> Path:
    tables = {
        language: fit([(lines, 1.0)], 500, charset=CHARACTERS[:-1])
        for language, lines in (texts or {"en": LINES}).items()
    }
    path = folder / "language.npz"
    settings = save(tables, path)
    card = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "search": vars(SEARCH),
        "charset": CHARACTERS,
        "languages": settings,
    }
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


def contexts_of(table: Table) -> list[str]:
    texts = [""]
    for state, text in enumerate(texts):
        for longer in range(table.longer[state], table.longer[state + 1]):
            assert longer == len(texts)
            texts.append(text + (table.charset + EDGE)[table.characters[longer]])
    return texts


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return LanguageModel(fit([(LINES, 1.0)], 500), SEARCH)


def state_after(model: LanguageModel, text: str) -> int:
    state = model.start
    for character in text:
        state = model.after(state, (model.charset + EDGE).index(character))
    return state


@pytest.mark.parametrize("text", ["", "th", "the cat", "zebra", "the cat sat o"])
def test_what_may_follow_a_text_adds_up_to_one(model: LanguageModel, text: str) -> None:
    state = state_after(model, text)
    total = sum(np.exp(model.log_probability(state, at)) for at in range(len(model.charset) + 1))
    assert total == pytest.approx(1.0, abs=0.1), "costs are rounded to a sixteenth of a nat"


def test_what_was_seen_is_likelier_than_what_was_not(model: LanguageModel) -> None:
    state = state_after(model, "the ca")
    seen, unseen = (model.log_probability(state, model.charset.index(character)) for character in "tx")
    assert np.exp(seen) > 0.7
    assert unseen < seen - 3
    assert cross_entropy(model, ["that hat sat on the cat"]) < cross_entropy(model, ["qzx vkj wqp"]) / 3


def test_a_line_begins_as_lines_do(model: LanguageModel) -> None:
    start, inside = (model.log_probability(state, model.charset.index("t")) for state in (model.start, 0))
    assert np.exp(start) > 0.9 > 0.3 > np.exp(inside)


def test_fewer_contexts_take_less_room_and_know_less() -> None:
    large, small = (fit([(LINES, 1.0)], contexts) for contexts in (500, 40))
    assert len(small.characters) <= 40
    assert set(contexts_of(small)) < set(contexts_of(large))
    bits = [cross_entropy(LanguageModel(table, SEARCH), LINES[:3]) for table in (large, small)]
    assert bits[0] < bits[1]


def test_every_context_can_be_come_to_and_backed_off_from() -> None:
    table = fit([(LINES, 1.0)], 60)
    contexts = contexts_of(table)
    assert 50 < len(contexts) == len(table.characters) == len(table.shorter)
    assert [contexts[at] for at in table.shorter[1:]] == [context[1:] for context in contexts[1:]]
    model = LanguageModel(table, SEARCH)
    for context in contexts:
        state = 0
        for character in context:
            state = model.after(state, (model.charset + EDGE).index(character))
        assert contexts[state] == context


def test_a_text_with_a_larger_share_is_better_known() -> None:
    english, french = LINES, ["le chat est sur le tapis", "la table est dans la salle", "le tapis est sale"] * 5
    bits = {}
    for share in (0.1, 0.9):
        model = LanguageModel(fit([(english, share), (french, 1 - share)], 120), SEARCH)
        bits[share] = cross_entropy(model, english[:3]), cross_entropy(model, french[:3])
    assert bits[0.9][0] < bits[0.1][0] - 0.1
    assert bits[0.1][1] < bits[0.9][1] - 0.1


def test_a_line_goes_on_in_the_language_that_it_began_in() -> None:
    english, french = ["this is a cat at home"] * 8, ["voici un chat blanc"] * 8
    model = LanguageModel(fit([(english, 0.5), (french, 0.5)], 500), SEARCH)
    after = {
        text: model.log_probability(state_after(model, text), model.charset.index("h")) for text in ("un c", "a c")
    }
    assert after["un c"] > after["a c"] + np.log(3)


def test_what_was_seen_before_one_character_only_says_little_of_others() -> None:
    """Kneser and Ney: "Francisco" is frequent, but only after "San"."""
    lines = ["qu qu qu qu qu qu qu qu", "ab cb db eb fb gb hb"]
    model = LanguageModel(fit([(lines, 1.0)], 500), SEARCH)
    u, b = (model.log_probability(state_after(model, "xz"), model.charset.index(character)) for character in "ub")
    assert b > u


def test_models_come_back_from_their_file(tmp_path: Path) -> None:
    loaded = Languages.load(write(tmp_path))
    own = LanguageModel(fit([(LINES, 1.0)], 500, charset=CHARACTERS[:-1]), SEARCH)
    assert loaded.search == SEARCH
    assert loaded.charset == CHARACTERS
    assert cross_entropy(loaded.models["en"], LINES) == cross_entropy(own, LINES)


def test_a_character_that_a_model_lacks_is_unlikely_and_ends_its_context(tmp_path: Path) -> None:
    model = Languages.load(write(tmp_path)).models["en"]
    state, strange = state_after(model, "the ca"), CHARACTERS.index("ż")
    assert model.log_probability(state, strange) < -10
    assert model.after(state, strange) == 0


@pytest.mark.parametrize(("language", "text"), [("en", "the cat is at home"), ("fr", "le chat est dans la maison")])
def test_a_page_is_read_in_the_language_that_its_lines_speak(tmp_path: Path, language: str, text: str) -> None:
    languages = Languages.load(write(tmp_path, {"en": ENGLISH, "fr": FRENCH}))
    likely = languages.identify([text] * 4)
    assert max(likely, key=lambda code: likely[code]) == language
    assert sum(likely.values()) == pytest.approx(1)
    assert languages.model(likely) is languages.models[language]


def test_a_page_that_leaves_doubt_is_read_in_both_languages(tmp_path: Path) -> None:
    languages = Languages.load(write(tmp_path, {"en": ENGLISH, "fr": FRENCH}))
    mixture = languages.model({"en": 0.5, "fr": 0.5})
    assert isinstance(mixture, Mixture)
    state, index = mixture.start, CHARACTERS.index("t")
    alone = [np.exp(model.log_probability(model.start, index)) for model in languages.models.values()]
    assert np.exp(mixture.log_probability(state, index)) == pytest.approx(np.mean(alone))
    assert mixture.after(state, index) == tuple(model.after(model.start, index) for model in languages.models.values())


@pytest.mark.parametrize(
    ("page", "ruled_out"),
    [(ENGLISH * 3, True), (FRENCH * 3, True), (ENGLISH + FRENCH[:6], True), (FRENCH + ENGLISH, False)],
)
def test_a_language_that_a_sample_rules_out_is_not_compared_on_all_of_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: list[str], ruled_out: bool
) -> None:
    path = write(tmp_path, {"en": ENGLISH, "fr": FRENCH})
    languages = Languages.load(path)
    found = languages.identify(page)
    compared = [sum(model.step.cache_info()[:2]) for model in languages.models.values()]
    assert (min(compared) < 0.7 * max(compared)) == ruled_out
    monkeypatch.setattr(language_module, "FIRST_CHARACTERS", 10**6)
    whole = Languages.load(path)
    assert found == pytest.approx(whole.identify(page), abs=1e-6)
    assert max(compared) == sum(whole.models["en"].step.cache_info()[:2])


def test_a_language_that_is_named_is_not_guessed(tmp_path: Path) -> None:
    languages = Languages.load(write(tmp_path, {"en": ENGLISH, "fr": FRENCH, "xx": LINES}))
    assert languages.model(languages.given(["fr"])) is languages.models["fr"]
    assert languages.model(languages.given(["fi"])) is languages.models["xx"]


def test_a_file_that_is_not_its_cards_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="SHA-256"):
        Languages.load(path)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    for content in ({"charset": "ab", "scale": 16.0, "contexts": "a"}, {"scale": 1.0}):
        np.savez(path, **content)
        card = json.loads(path.with_suffix(".json").read_text())
        card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_suffix(".json").write_text(json.dumps(card))
        with pytest.raises(ModelError, match="anew"):
            Languages.load(path)


@pytest.mark.parametrize("card", [None, "{", '{"sha256": "0"}', '{"sha256": "0", "search": {"depth": 3}}'])
def test_a_card_that_does_not_say_how_to_search_is_refused(tmp_path: Path, card: str | None) -> None:
    path = write(tmp_path)
    if card is None:
        path.with_suffix(".json").unlink()
    else:
        path.with_suffix(".json").write_text(card)
    with pytest.raises(ModelError, match="card"):
        Languages.load(path)


def test_the_other_case_counts_where_a_word_begins_and_nowhere_else() -> None:
    table = fit([(["the cat sat on the mat", "The Cat"] * 5, 1.0)], 500)
    plain, lenient = (LanguageModel(table, replace(SEARCH, other_case=share)) for share in (0.0, 0.5))
    small, large = (table.charset.index(character) for character in "cC")
    state = state_after(plain, "the ")
    low, high = (np.exp(plain.step(state, at)[0]) for at in (large, small))
    assert np.exp(lenient.step(state, large)[0]) == pytest.approx(low + 0.5 * high)
    assert lenient.log_probability(state, large) == plain.log_probability(state, large)
    within = state_after(plain, "the c")
    for character in "aT ":
        at = table.charset.index(character)
        assert lenient.step(within, at) == plain.step(within, at)


@pytest.mark.parametrize(
    ("lines", "bare", "capital", "small"),
    [(["Elise et Etienne", "Élan été eté"], "E", "É", "é"), (["Ouvrez un œuf", "Orge et Œuf"], "O", "Œ", "œ")],
)
def test_an_accented_capital_or_ligature_counts_though_texts_often_lack_it(
    lines: list[str], bare: str, capital: str, small: str
) -> None:
    table = fit([(lines * 5, 1.0)], 500)
    plain, lenient = (LanguageModel(table, replace(SEARCH, other_case=share)) for share in (0.0, 0.5))
    indices = [table.charset.index(letter) for letter in (bare, capital, small)]
    state = state_after(plain, "et ")
    high, low, lower = (np.exp(plain.step(state, at)[0]) for at in indices)
    assert np.exp(lenient.step(state, indices[1])[0]) == pytest.approx(low + UNACCENTED_SHARE * high + 0.5 * lower)
    within = state_after(plain, "et t")
    assert lenient.step(within, indices[2]) == plain.step(within, indices[2])


def test_a_page_of_records_is_read_with_their_model_even_if_its_language_is_named(tmp_path: Path) -> None:
    languages = Languages.load(write(tmp_path, {"en": ENGLISH, "fr": FRENCH, RECORDS: RECORD_LINES}))
    table, letter = ["12,99 EUR", "Qty", "3 x 12,40", "Total 1,99"] * 3, ["the cat is at home"] * 4
    records = languages.models[RECORDS]
    for probabilities in (languages.identify(table), languages.given(["en"], table)):
        mixture = languages.model(probabilities)
        digit = CHARACTERS.index("4")
        assert mixture.step(mixture.start, digit)[0] == records.step(records.start, digit)[0]
    assert languages.model(languages.given(["en"], letter)) is languages.models["en"]
    assert languages.given(["en", "fr"]) == {"en": 1.0, "fr": 1.0}


def test_letters_beyond_ascii_are_those_of_the_language_on_pages_of_records(tmp_path: Path) -> None:
    french = [text.replace("est", "été") for text in FRENCH]
    languages = Languages.load(write(tmp_path, {"en": ENGLISH, "fr": french, RECORDS: RECORD_LINES}))
    mixture = languages.model({RECORDS: 1.0, "en": 1e-40, "fr": 1e-20})
    records, own = languages.models[RECORDS], languages.models["fr"]
    after = [CHARACTERS.index(character) for character in " é"]
    state, record, language = mixture.start, records.start, own.start
    for at, share in zip(after, (0.0, 0.1), strict=True):
        expected = (1 - share) * np.exp(records.step(record, at)[0]) + share * np.exp(own.step(language, at)[0])
        found, state = mixture.step(state, at)
        assert np.exp(found) == pytest.approx(expected)
        record, language = records.step(record, at)[1], own.step(language, at)[1]
    assert own.step(own.start, after[1])[0] != records.step(records.start, after[1])[0]


def test_fewer_entries_say_nearly_the_same() -> None:
    lines = [f"{word} {other}" for word in ENGLISH for other in LINES]
    table = fit([(lines, 1.0)], 400, charset=CHARACTERS)
    before = cross_entropy(LanguageModel(table, SEARCH), lines[::7])
    lost = []
    for share in (0.8, 0.6):
        smaller = drop_entries(table, share)
        assert len(smaller.costs) == len(smaller.followers) == smaller.starts[-1]
        assert len(smaller.costs) == pytest.approx(share * len(table.costs), rel=0.02)
        assert contexts_of(smaller) == contexts_of(table)
        model = LanguageModel(smaller, SEARCH)
        lost.append(cross_entropy(model, lines[::7]) - before)
        for text in ("", "th", "this is a c"):
            state = state_after(model, text)
            total = sum(np.exp(model.log_probability(state, at)) for at in range(len(CHARACTERS) + 1))
            assert total == pytest.approx(1, abs=0.06)
        # Where nearly all that follows is known, the rest is no less probable than it was.
        assert (smaller.backoff.astype(int) - table.backoff).max() < table.scale
    random = np.random.default_rng(0).permutation(len(table.costs)) < 0.6 * len(table.costs)
    random[: table.starts[1]] = True
    counts = np.add.reduceat(random, table.starts[:-1])
    worse = replace(
        table,
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32),
        followers=table.followers[random],
        costs=table.costs[random],
    )
    assert lost[0] <= lost[1] < 0.2 * (cross_entropy(LanguageModel(worse, SEARCH), lines[::7]) - before)


def test_languages_of_the_common_model_are_compared_where_it_is_probable(tmp_path: Path) -> None:
    texts = {"en": ENGLISH, "nl": DUTCH, "pl": POLISH, OTHERS: DUTCH + POLISH}
    path = write(tmp_path, texts)
    assert not Languages.load(path).members
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    for code in ("nl", "pl"):
        card["languages"][code]["group"] = OTHERS
    path.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
    languages = Languages.load(path)
    assert languages.members == {"nl", "pl"}
    for code, lines in texts.items():
        found = languages.identify(lines[:6])
        assert found.keys() == texts.keys()
        assert sum(found.values()) == pytest.approx(1)
        if code == OTHERS:
            assert found["en"] < 0.01
        else:
            # The common model may be as probable as one of its members.
            assert max(found, key=lambda each: found[each]) in (code, OTHERS)
            assert found[code] > 0.3
            assert sum(found[each] for each in texts if each not in (code, OTHERS)) < 0.01
    assert languages.models["nl"].step.cache_info().misses > 0
    again = Languages.load(path)
    assert again.identify(ENGLISH[:6])["nl"] == 0
    assert again.models["nl"].step.cache_info().misses == 0


def test_members_that_part_of_a_page_rules_out_are_not_compared_on_all_of_it(tmp_path: Path) -> None:
    path = write(tmp_path, {"en": ENGLISH, "nl": DUTCH, "pl": POLISH, OTHERS: DUTCH + POLISH})
    models = Languages.load(path).models
    page = DUTCH * 3
    found = Languages(models, members=("nl", "pl")).identify(page)
    assert found["nl"] > 0.3
    assert found["pl"] == 0
    compared = {code: sum(models[code].step.cache_info()[:2]) for code in ("nl", "pl")}
    characters = sum(map(len, page))
    assert compared["nl"] > characters > 2 * SAMPLE_CHARACTERS
    assert compared["pl"] < 1.5 * SAMPLE_CHARACTERS


def test_a_table_is_the_same_after_it_was_stored(tmp_path: Path) -> None:
    table = fit([(ENGLISH + FRENCH, 1.0)], 300, charset=CHARACTERS)
    settings = save({"en": table}, tmp_path / "language.npz")
    again = load_tables(tmp_path / "language.npz", settings)["en"]
    for name in ARRAYS:
        assert np.array_equal(getattr(again, name), getattr(table, name)), name
        assert getattr(again, name).dtype == getattr(table, name).dtype
    with np.load(tmp_path / "language.npz") as arrays:
        assert {arrays[f"en.{name}"].dtype for name in COUNTED} == {np.dtype(np.uint8)}


def test_no_model_is_fitted_on_texts_that_are_held_out(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for name, code in DECLARATIONS.items():
        rows = [f"Article {number} says number {number} of {name}." for number in range(100)]
        (texts / f"declaration_{code}.txt").write_text("\n".join(rows), encoding="utf-8")
    numbered = [f"word{number}x" for number in range(1000)]
    for name in ("words_en", "words_fr", "list_pl"):
        (texts / f"{name}.txt").write_text("\n".join(numbered), encoding="utf-8")
    (texts / "english.txt").write_text("It was the best of times.\n", encoding="utf-8")
    (texts / "names.json").write_text(json.dumps({"first": {"fr": ["Anne", "Maximilien"]}}), encoding="utf-8")
    prose = [f"Paragraph {number} of the book is about {number} cats." for number in range(500)]
    (tmp_path / "de.txt").write_text("\n".join(prose), encoding="utf-8")
    material = Material(tmp_path, tmp_path, {})
    for language in ("de", "pl", OTHERS):
        read = "\n".join(line for lines, _ in material.groups(language) for line in lines)
        assert "Article 50 says" in read
        assert "Article 99 says" not in read
        if language == "de":
            assert "Paragraph 100 of" in read
            assert "Paragraph 499 of" not in read
        else:
            assert "word110x" in read
            assert "word119x" not in read


def test_one_model_is_fitted_anew_and_the_others_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, {"en": ENGLISH, "fr": FRENCH})
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    card["training"] = {"command": "before", "data": [{"source": "copiste_fr"}]}
    path.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
    before = dict(np.load(path))
    drawn = write_pages(tmp_path / "drawn", [RECORD_LINES], [("sans", "train")])
    rows = (drawn / "pages.jsonl").read_text(encoding="utf-8").replace('"source": "test"', '"source": "doc_receipt"')
    (drawn / "pages.jsonl").write_text(rows, encoding="utf-8")
    texts = tmp_path / "assets" / "texts"
    texts.mkdir(parents=True)
    (texts / "names.json").write_text(json.dumps({"first": {"fr": ["Anne-Charlotte", "Maximilien"]}}), encoding="utf-8")
    command = ["language", "--data", str(drawn), "--assets", str(tmp_path / "assets"), "--prose", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*command, "--language", RECORDS, "--version", "2", "--out", str(path)])
    main()

    after = np.load(path)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    fitted = Languages.load(path, CHARSET)
    assert list(fitted.models) == ["en", "fr", RECORDS]
    assert max(fitted.identify(RECORD_LINES).items(), key=lambda item: item[1])[0] == RECORDS
    training = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["training"]
    assert training["command"].startswith("before; ")
    assert [entry["source"] for entry in training["data"]][:2] == ["copiste_fr", "doc_receipt"]
