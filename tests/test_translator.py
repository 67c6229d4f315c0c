import logging
import random
import re
from dataclasses import replace
from itertools import product

import pytest
import torch

from nmt import machine
from nmt.config.search import SearchConfig, change_search
from nmt.errors import DataError, ModelError, UsageError
from nmt.fast.int8 import Int8Linear
from nmt.machine import choose_precision
from nmt.models.shortlist import Shortlist
from nmt.text.training_text import TrainingTextSurvey
from nmt.text.vocabulary import BOS, EOS, PAD
from nmt.translator import ScoredPair, Translator
from nmt.writing import LineWriter

WORDS = ["a", "cat", "eats", "the", "small", "mouse", "sleeps", "two", "birds,", "and", "dog."]


def some_lines(count: int, *, longest: int = 12) -> list[str]:
    generator = random.Random(3)
    return [
        " ".join(generator.choices(WORDS, k=generator.randrange(1, longest + 1)))
        for _ in range(count)
    ]


def test_lines_come_out_in_order_whatever_the_batch(translator):
    lines = some_lines(50)
    expected = [translation.text for translation in translator.translate(lines)]
    assert len(set(expected)) > 25
    for batch_size, batch_tokens in ((1, 4096), (7, 4096), (64, 30)):
        found = list(translator.translate(lines, batch_size=batch_size, batch_tokens=batch_tokens))
        assert [translation.text for translation in found] == expected
        assert [translation.source for translation in found] == lines


def test_blank_lines_stay_blank_and_never_reach_the_model(translator, monkeypatch):
    seen = []
    start = translator.engine.scorer.start

    def spy(source, source_mask, *, copies):
        seen.append(source.shape[0])
        return start(source, source_mask, copies=copies)

    monkeypatch.setattr(translator.engine.scorer, "start", spy)
    found = list(translator.translate(["", "a cat", " \t", "\u3000", "a dog."], align=True))
    assert [translation.text == "" for translation in found] == [True, False, True, True, False]
    assert sum(seen) == 2
    blank = found[0]
    assert (blank.score, blank.log_prob, blank.finished, blank.alignment) == (0.0, 0.0, True, ())
    assert list(translator.translate([])) == []


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("coverage_penalty", [0.0, 0.3])
def test_exact_gives_the_same_bits_in_any_batch_and_order(translator, beam, coverage_penalty):
    lines = some_lines(70)
    options = change_search(
        translator.options, {"beam": beam, "n_best": beam, "coverage_penalty": coverage_penalty}
    )

    def hypotheses(lines, batch_size):
        found = translator.translate(
            lines, options=options, batch_size=batch_size, exact=True, align=True
        )
        return [translation.hypotheses for translation in found]

    expected = hypotheses(lines, 64)
    assert hypotheses(lines, 1) == expected
    assert hypotheses(lines, 7) == expected
    order = random.Random(5).sample(range(70), 70)
    shuffled = hypotheses([lines[place] for place in order], 64)
    assert shuffled == [expected[place] for place in order]
    assert hypotheses(lines[33:34], 64) == expected[33:34]
    fast = [translation.text for translation in translator.translate(lines, options=options)]
    assert fast == [found[0].text for found in expected]


def test_samples_depend_on_seed_and_line_number_alone(translator):
    lines = ["a cat sleeps"] * 9
    options = change_search(translator.options, {"sample": True, "seed": 4})

    def draw(**changes) -> list[str]:
        chosen = change_search(options, changes)
        return [found.text for found in translator.translate(lines, options=chosen, batch_size=4)]

    texts = draw()
    assert draw() == texts
    assert len(set(texts)) > 5
    assert draw(seed=5) != texts
    assert [
        found.text for found in translator.translate(lines, options=options, batch_size=1)
    ] == texts


def test_the_n_best_start_with_the_best(model_folder):
    eager = Translator.load(model_folder)
    with torch.no_grad():  # hypotheses end before the limit of length, which would leave fewer
        eager.models[0].output.project.bias[EOS] += 3.0
    lines = some_lines(10)
    options = change_search(eager.options, {"beam": 4, "n_best": 4})
    only = change_search(options, {"n_best": 1})
    best = [found.text for found in eager.translate(lines, options=only)]
    assert len(set(best)) > 5
    several = list(eager.translate(lines, options=options))
    assert [found.hypotheses[0].text for found in several] == best
    for found in several:
        scores = [hypothesis.score for hypothesis in found.hypotheses]
        assert 1 < len(scores) <= 4
        assert scores == sorted(scores, reverse=True)


def test_alignments_link_existing_words(translator):
    for found in translator.translate(some_lines(20), align=True):
        words = len(found.source.split()), len(found.text.split())
        assert {target for _, target in found.alignment} <= set(range(words[1]))
        assert all(0 <= source < words[0] for source, _ in found.alignment)
    assert next(translator.translate(["a cat"])).alignment is None


def test_alignments_need_attention(make_model_folder):
    blind = Translator.load(make_model_folder(model={"decoder": {"attention": "none"}}))
    with pytest.raises(
        UsageError, match="has no attention, so words cannot be aligned; leave alignments out"
    ):
        blind.translate(["a cat"], align=True)


def test_a_long_line_is_cut_with_a_warning_that_names_it(translator, caplog):
    long = " ".join(WORDS * 20)
    with caplog.at_level(logging.WARNING):
        found = list(translator.translate(["a cat", "", long], max_source=10, split="never"))
    assert len(found) == 3
    assert "line 3: has" in caplog.text
    assert "only the first 10 are translated" in caplog.text
    # Search options say: source length x 1.0 + 6
    assert len(translator.target.encode(found[2].text)) <= 2 * 16


def test_each_line_is_answered_before_the_next_one_is_read(translator):
    read = []

    def typed():
        for line in ("a cat", "the dog."):
            read.append(line)
            yield line

    found = translator.translate(typed(), prompt=True)
    assert [next(found).source, next(found).source] == ["a cat", "the dog."]
    assert read == ["a cat", "the dog."]


def test_copies_of_a_model_ensembled_translate_as_it_does(model_folder, translator):
    lines = some_lines(20)
    both = Translator.load([model_folder, model_folder.parent])
    for one, two in zip(translator.translate(lines), both.translate(lines), strict=True):
        assert one.text == two.text
        assert one.log_prob == pytest.approx(two.log_prob, abs=1e-5)


def test_an_ensemble_of_different_models_differs_from_its_first_model(
    make_model_folder, model_folder, translator
):
    mixed = Translator.load([model_folder, make_model_folder(seed=2)])
    lines = some_lines(20)
    texts = [found.text for found in mixed.translate(lines)]
    assert texts != [found.text for found in translator.translate(lines)]


def test_an_ensemble_needs_the_same_pieces(make_model_folder, model_folder):
    other = make_model_folder(joint=False)
    with pytest.raises(
        ModelError,
        match=r" have different target subword models and cannot be an ensemble; "
        r"train its members on the same prepared data\.$",
    ):
        Translator.load([model_folder, other])


def test_the_score_of_a_pair_equals_that_of_the_whole_sequence_path(translator):
    (pair,) = translator.score([("a small cat", "un gatto")])
    model, source, target = translator.models[0], translator.source, translator.target
    ids = torch.tensor([[*source.encode("a small cat"), EOS]])
    gold = torch.tensor([*target.encode("un gatto"), EOS])
    memory = model.encode(ids, torch.ones_like(ids, dtype=torch.bool))
    features = model.decode(
        memory, torch.cat([torch.tensor([BOS]), gold[:-1]]).unsqueeze(0)
    ).features
    expected = model.output.log_probs(features[0])[torch.arange(len(gold)), gold]
    assert pair.pieces == (*target.pieces(gold.tolist()[:-1]), "</s>")
    assert pair.log_probs == pytest.approx(expected.tolist(), abs=1e-4)
    assert pair.log_prob == pytest.approx(expected.sum().item(), abs=1e-4)
    assert pair.mean == pytest.approx(pair.log_prob / len(gold))


def test_a_pair_of_empty_lines_scores_the_same_as_its_translation(translator):
    blank, text, other_blank = translator.score([("", ""), ("a cat", "un gatto"), (" ", "\u3000")])
    (translation,) = translator.translate([""])
    assert blank == other_blank == ScoredPair((), (), 0)
    assert (blank.log_prob, blank.mean) == (translation.log_prob, 0.0)
    assert text == next(translator.score([("a cat", "un gatto")]))
    assert list(translator.score([("", "")])) == [blank]


@pytest.mark.parametrize("pair", [("", "un gatto"), ("a cat", "")])
def test_a_pair_with_one_empty_side_is_scored_by_the_model(translator, pair):
    (scored,) = translator.score([pair])
    assert scored.pieces[-1] == "</s>"
    assert scored.log_prob < 0.0


def test_scores_do_not_depend_on_the_batch(translator):
    lines = ["", *some_lines(30), "a cat"]
    pairs = list(zip(lines, [*reversed(lines[:-1]), ""], strict=True))
    many = list(translator.score(pairs))
    for batch_size in (1, 4):
        for one, other in zip(translator.score(pairs, batch_size=batch_size), many, strict=True):
            assert one.pieces == other.pieces
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-4)


def test_a_model_in_training_mode_stays_in_training_mode(translator):
    model = translator.models[0]
    model.train()
    try:
        during = [found.text for found in translator.translate(["a cat eats"])]
        assert model.training
    finally:
        model.eval()
    assert during == [found.text for found in translator.translate(["a cat eats"])]


LOW_PRECISIONS = pytest.mark.parametrize("precision", ["bf16", "int8"])


@LOW_PRECISIONS
@pytest.mark.usefixtures("int8")
def test_low_precisions_give_similar_translations(precision, model_folder, translator):
    lines = some_lines(20)
    rough = Translator.load(model_folder, precision=precision)
    options = SearchConfig(beam=1, max_length_factor=0.0, max_length_offset=1)
    for exact, close in zip(
        translator.translate(lines, options=options),
        rough.translate(lines, options=options),
        strict=True,
    ):
        assert close.log_prob == pytest.approx(exact.log_prob, abs=0.1)


@pytest.fixture(params=["kernels", "no kernels"])
def with_or_without_kernels(request):
    """Run a test with compiled kernels, and again with them turned off."""
    if request.param == "no kernels":
        request.getfixturevalue("no_kernels")


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@LOW_PRECISIONS
@pytest.mark.usefixtures("with_or_without_kernels", "int8")
def test_low_precisions_support_every_cell(cell, precision, make_model_folder):
    """In sizes that have kernels, in each half of the model."""
    changes = {
        "encoder": {"hidden_size": 16, "cell": cell, "layers": 2},
        "decoder": {"hidden_size": 32, "cell": cell, "layers": 2},
        "initialization": {"kind": "uniform", "scale": 0.3},
    }
    folder = make_model_folder(model=changes)
    lines = some_lines(5)
    rough = Translator.load(folder, precision=precision)
    texts = [found.text for found in rough.translate(lines, options=SearchConfig(beam=3))]
    pairs = list(zip(lines, texts, strict=True))
    exact = Translator.load(folder).score(pairs)
    for found, expected in zip(rough.score(pairs), exact, strict=True):
        assert found.log_prob == pytest.approx(expected.log_prob, rel=0.02)


def shortlisted(translator: Translator) -> Translator:
    """Return the translator with a made-up shortlist."""
    vocab = translator.target.vocab_size
    likely = torch.arange(translator.source.vocab_size * 3).view(-1, 3) * 7 % vocab
    likely[PAD] = PAD  # padding translates nothing
    return Translator(
        translator.models,
        source=translator.source,
        target=translator.target,
        normalizer=translator.normalizer,
        shortlist=Shortlist(torch.arange(vocab).flip(0), likely),
    )


@pytest.mark.parametrize("changes", [{"beam": 3}, {"beam": 1}, {"sample": True, "n_best": 2}])
def test_a_shortlist_of_everything_changes_nothing(changes, translator):
    options = change_search(translator.options, changes)
    everything = change_search(options, {"shortlist": 10_000})
    for found, whole in zip(
        shortlisted(translator).translate(some_lines(20), options=everything, align=True),
        translator.translate(some_lines(20), options=options, align=True),
        strict=True,
    ):
        assert found == whole


def test_a_shortlist_translates_the_same_in_any_batch(translator):
    short, lines = shortlisted(translator), some_lines(30)
    options = change_search(translator.options, {"shortlist": 20})
    together, one_by_one = (
        [found.text for found in short.translate(lines, options=options, batch_size=size)]
        for size in (30, 1)
    )
    assert together == one_by_one
    assert together != [found.text for found in short.translate(lines)]


def test_an_impossible_shortlist_is_refused(translator):
    options = change_search(translator.options, {"shortlist": 20})
    with pytest.raises(
        UsageError, match="shortlist: the model folder has none; retrain it, or set it to 0"
    ):
        next(translator.translate(["a cat"], options=options))
    with pytest.raises(
        UsageError,
        match="a shortlist has another size in each batch; set it to 0 for exact results",
    ):
        next(shortlisted(translator).translate(["a cat"], options=options, exact=True))


@pytest.mark.usefixtures("int8")
def test_int8_gives_the_same_texts_in_any_batch(model_folder):
    rough = Translator.load(model_folder, precision="int8")
    options = change_search(rough.options, {"beam": 3})
    lines = some_lines(20)
    together, one_by_one = (
        [found.text for found in rough.translate(lines, options=options, batch_size=size)]
        for size in (20, 1)
    )
    assert together == one_by_one


def test_int8_is_refused_where_it_is_unsupported(model_folder, monkeypatch):
    monkeypatch.setattr(machine, "has_int8", lambda: False)
    text = r'precision: "int8" is not available on cpu with torch .*; choose "bf16" or "fp32"'
    with pytest.raises(UsageError, match=text):
        Translator.load(model_folder, precision="int8", device="cpu")


@pytest.mark.usefixtures("fast_modules")
@pytest.mark.parametrize(("has_products", "is_fast"), [(True, True), (True, False), (False, True)])
def test_auto_is_int8_where_the_cpu_is_fast_at_it(has_products, is_fast, model_folder, monkeypatch):
    monkeypatch.setattr(machine, "has_int8", lambda: has_products)
    monkeypatch.setattr(machine, "has_fast_int8", lambda: is_fast)
    found = Translator.load(model_folder, precision="auto", device="cpu").models[0]
    is_int8 = isinstance(found.output.project, Int8Linear)
    assert is_int8 is (has_products and is_fast)
    assert choose_precision(torch.device("cuda")) == "fp32"


@pytest.mark.parametrize("threads", [-1, 100000])
def test_an_excessive_number_of_threads_is_refused(model_folder, threads):
    with pytest.raises(UsageError, match=f"threads: {threads} is out of range; from 0 to 1024"):
        Translator.load(model_folder, threads=threads)


def test_int8_needs_fast_modules(model_folder):
    text = (
        r'precision: "int8" exists in fast modules only; choose "fp32" or "bf16", or leave --plain '
        r"out\.$"
    )
    with pytest.raises(UsageError, match=text):
        Translator.load(model_folder, precision="int8", device="cpu", fast=False)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_plain_and_fast_modules_translate_alike(precision, model_folder):
    lines = some_lines(20)
    plain = Translator.load(model_folder, precision=precision, device="cpu", fast=False)
    fast = Translator.load(model_folder, precision=precision, device="cpu")
    pairs = [(found.source, found.text) for found in fast.translate(lines)]
    for one, other in zip(plain.score(pairs), fast.score(pairs), strict=True):
        assert one.log_probs == pytest.approx(
            other.log_probs, rel=1e-4 if precision == "fp32" else 0.05
        )


def test_without_fast_modules_auto_is_fp32(model_folder, monkeypatch):
    monkeypatch.setattr(machine, "has_fast_int8", lambda: True)
    plain = Translator.load(model_folder, precision="auto", device="cpu", fast=False)
    assert not plain.engine.autocast
    assert {weight.dtype for weight in plain.models[0].parameters()} == {torch.float32}


def test_an_unknown_device_is_refused(model_folder):
    with pytest.raises(
        UsageError, match=r'device: "tpu" is not available here; choose "cpu" or "auto"'
    ):
        Translator.load(model_folder, device="tpu")


def test_a_damaged_model_says_so_instead_of_translating(model_folder):
    broken = Translator.load(model_folder)
    with torch.no_grad():
        broken.models[0].output.project.bias.fill_(torch.nan)
    with pytest.raises(ModelError, match="NaN"):
        list(broken.translate(["a cat"]))


def test_sentences_of_a_line_are_translated_alone_and_joined(translator):
    lines = ["A cat sleeps.", "The dog eats.", "Two birds sleep."]
    line = f"  {lines[0]} {lines[1]}  {lines[2]}\t{lines[0]} "
    alone = list(translator.translate(lines))
    (joined,) = translator.translate([line])
    assert joined.source == line
    assert joined.sentences == 4
    texts = [found.text for found in alone]
    assert joined.text == f"  {texts[0]} {texts[1]}  {texts[2]}\t{texts[0]} "
    parts = [*alone, alone[0]]
    assert joined.log_prob == pytest.approx(sum(found.log_prob for found in parts), rel=1e-4)
    assert joined.score == pytest.approx(sum(found.score for found in parts) / 4, rel=1e-4)


def test_the_n_best_of_a_split_line_are_the_best_combinations_of_its_sentences(translator):
    options = change_search(translator.options, {"beam": 3, "n_best": 3})
    lines = ["A cat sleeps.", "The dog eats.", "Two birds sleep."]
    alone = [each.hypotheses for each in translator.translate(lines, options=options)]
    (joined,) = translator.translate([" ".join(lines)], options=options)
    combined = sorted(product(*alone), key=lambda each: -sum(part.score for part in each))[:3]
    assert [each.text for each in joined.hypotheses] == [
        " ".join(part.text for part in parts) for parts in combined
    ]
    for found, parts in zip(joined.hypotheses, combined, strict=True):
        assert found.finished == all(part.finished for part in parts)
        assert found.score == pytest.approx(sum(part.score for part in parts) / 3, rel=1e-4)


def test_samples_of_a_split_line_are_drawn_apart(translator):
    options = change_search(translator.options, {"sample": True, "seed": 4})
    lines = ["A cat sleeps. " * 3, "A cat sleeps."]
    split, _ = translator.translate(lines, options=options)
    assert split.sentences == 3
    again, _ = translator.translate([lines[0], "The dog."], options=options, batch_size=1)
    assert again.text == split.text
    (first,) = translator.translate(lines[1:], options=options)
    assert split.text.startswith(first.text)  # the first sentence has the stream of its line
    assert split.text != " ".join([first.text] * 3)


def test_split_never_gives_the_model_the_whole_line(translator):
    line = "A cat sleeps. The dog eats. Two birds sleep."
    (whole,) = translator.translate([line], split="never")
    (split,) = translator.translate([line], split="always")
    assert (whole.sentences, split.sentences) == (1, 3)
    assert whole.text != split.text


def test_a_line_in_capitals_is_translated_into_capitals(translator):
    small, large = translator.translate(["A cat eats a mouse.", "A CAT EATS A MOUSE."])
    assert large.text == small.text.upper()
    assert large.log_prob == pytest.approx(small.log_prob, rel=1e-4)


@pytest.fixture
def nameless(translator, monkeypatch):
    """The translator, as if names had no capitals in its training text."""
    seen = TrainingTextSurvey("en")
    for _ in range(40):
        seen.add("A cat saw anna.", "Un gatto ha visto anna.", pieces=(60, 60))
    monkeypatch.setattr(translator, "training_text", seen.result())
    reading = replace(translator.reading, training_text=seen.result())
    monkeypatch.setattr(translator, "reading", reading)
    return translator


def test_names_are_read_in_small_letters(nameless):
    plain, named = nameless.translate(["A cat saw the dog.", "A cat saw The Dog."])
    assert named.text.lower() == plain.text.lower()
    assert named.log_prob == pytest.approx(plain.log_prob, rel=1e-4)


def test_attention_is_kept_for_names_alone(nameless, monkeypatch):
    """What is requested does not change the text, nor does the batch."""
    lines = ["Every Small cat saw Two Birds.", "A cat sleeps."]
    kept: list[bool] = []
    write = LineWriter.write

    def watch(self, line, segments, found, prefix):
        kept.append(found[0][0].attention is not None)
        return write(self, line, segments, found, prefix)

    monkeypatch.setattr(LineWriter, "write", watch)
    plain = [found.text for found in nameless.translate(lines)]
    assert kept == [True, True]
    assert plain == [found.text for found in nameless.translate(lines, align=True)]
    assert plain == [found.text for found in nameless.translate(lines, batch_size=1)]
    kept.clear()
    named = TrainingTextSurvey("en")
    named.add("a cat saw anna.", "un gatto ha visto Anna.", pieces=(60, 60))
    monkeypatch.setattr(nameless, "training_text", named.result())
    list(nameless.translate(lines))
    assert kept == [False, False]  # the model writes names as it has learned


def test_lines_without_letters_are_copied_word_by_word(translator):
    lines = ["42", " 1 2 3 ", "anna@example.org", "\u200b"]
    found = list(translator.translate(lines, align=True))
    assert [each.text for each in found] == ["42", " 1 2 3 ", "anna@example.org", ""]
    assert [each.alignment for each in found][:2] == [((0, 0),), ((0, 0), (1, 1), (2, 2))]
    assert {(each.score, each.log_prob, each.finished, each.lost) for each in found} == {
        (0.0, 0.0, True, ())
    }


def test_what_the_model_cannot_know_is_named(translator):
    line = "a cat ж猫 eats 3500 https://example.org/"
    (found,) = translator.translate([line])
    assert set("ж猫") <= set(found.unseen)
    assert found.unknown_pieces > 3
    assert found.lost == ("https://example.org/", "3500")
    (known,) = translator.translate(["a cat eats a mouse."])
    assert (known.unseen, known.unknown_pieces, known.lost) == ((), 0, ())


def test_a_single_string_is_not_taken_for_lines(translator):
    with pytest.raises(UsageError, match=r"lines: is a single string; give a list of lines\."):
        translator.translate("A cat ate a mouse.")
    with pytest.raises(UsageError, match=r"prefixes: is a single string; give a list of prefixes"):
        translator.translate(["a cat"], prefixes="a")
    with pytest.raises(UsageError, match=r"pairs: is a single string; give a list of pairs\."):
        translator.score("A cat ate a mouse.")


def test_many_truncated_lines_cause_few_warnings(translator, caplog):
    with caplog.at_level(logging.WARNING):
        list(translator.translate(some_lines(50), max_source=2, split="never"))
    assert len(caplog.records) == 4
    assert re.search(r"\d\d more lines are too long; split them", caplog.text)


# --- n-best texts, prefixes, alignments and scores of words -------------------------------------


@pytest.fixture(scope="module")
def eager(make_model_folder) -> Translator:
    """Hypotheses end before the limit of length; pieces are characters, spaces pieces too."""
    found = Translator.load(make_model_folder(kind="char"))
    with torch.no_grad():
        found.models[0].output.project.bias[EOS] += 2.0
        found.models[0].output.project.bias[found.target.id_of("▁")] += 3.0
    return found


def test_translations_of_a_list_are_different_texts(eager):
    lines, wide = some_lines(30), {"beam": 8, "length_penalty": "none"}
    best = [found.text for found in eager.translate(lines, search=wide)]
    lists = list(eager.translate(lines, search={**wide, "n_best": 8}))
    assert [found.text for found in lists] == best
    texts = [[" ".join(each.text.split()) for each in found.hypotheses] for found in lists]
    assert all(len(set(each)) == len(each) for each in texts)
    assert any(len(each) < 8 for each in texts)
    for found, fewer in zip(
        lists, eager.translate(lines, search={**wide, "n_best": 3}), strict=True
    ):
        assert fewer.hypotheses == found.hypotheses[:3]


def test_samples_may_repeat(eager):
    (found,) = eager.translate(["a cat"], search={"sample": True, "n_best": 40, "top_k": 1})
    assert len(found.hypotheses) == 40
    assert len({each.text for each in found.hypotheses}) == 1


def test_search_options_are_changed_by_name(translator):
    options = change_search(translator.options, {"beam": 1})
    lines = some_lines(5)
    expected = list(translator.translate(lines, options=options))
    assert list(translator.translate(lines, search={"beam": 1})) == expected
    with pytest.raises(UsageError, match="beem"):
        translator.translate(lines, search={"beem": 1})


PREFIXES = ["un gatto ", "Ž", "  l'uomo", "", " \t", "un ga", "e\u0301 vero:\t", "猫 "]


@pytest.mark.parametrize(
    "search", [{"beam": 3}, {"beam": 1}, {"sample": True, "n_best": 3}, {"beam": 4, "n_best": 4}]
)
@pytest.mark.parametrize("exact", [False, True])
def test_translations_begin_with_their_prefixes(translator, search, exact):
    lines = some_lines(len(PREFIXES))
    found = list(translator.translate(lines, search=search, prefixes=PREFIXES, exact=exact))
    for prefix, line in zip(PREFIXES, found, strict=True):
        given = prefix if prefix.strip() else ""
        assert all(each.text.startswith(given) for each in line.hypotheses)
        assert all(each.log_prob < 0 for each in line.hypotheses)
    free = list(translator.translate(lines, search=search, exact=exact))
    assert [found[number].text for number in (3, 4)] == [free[number].text for number in (3, 4)]
    one_by_one = translator.translate(
        lines, search=search, prefixes=PREFIXES, exact=exact, batch_size=1
    )
    assert [each.text for each in one_by_one] == [each.text for each in found]


def test_a_line_with_a_prefix_and_several_parts_is_named(translator, caplog):
    lines, prefixes = ["a cat\tthe dog", "a cat", "a cat\tthe dog"], ["un ", "un ", ""]
    found = list(translator.translate(lines, prefixes=prefixes))
    assert [each.sentences for each in found] == [1, 1, 2]
    assert caplog.messages == [
        "line 1: has several parts, which are translated as one because of its prefix; give each a "
        "line of its own"
    ]


def test_a_line_longer_than_training_text_is_flagged(translator, monkeypatch):
    seen = TrainingTextSurvey("en")
    for _ in range(40):
        seen.add("a cat sleeps", "un gatto dorme", pieces=(6, 6))
    monkeypatch.setattr(translator, "training_text", seen.result())
    found = translator.translate(["a cat", "a cat and the dog and the dog"], split="never")
    assert [each.too_long for each in found] == [False, True]


def test_a_translation_far_shorter_than_in_training_is_flagged(translator, monkeypatch):
    seen = TrainingTextSurvey("en")
    for _ in range(40):
        seen.add("a cat sleeps", "un gatto dorme", pieces=(10, 8))
    monkeypatch.setattr(translator, "training_text", seen.result())
    line = "a cat and the dog and the dog"
    pieces = len(translator.source.encode(line))
    assert pieces >= 8
    for length, flagged in ((pieces // 2, True), (pieces, False)):
        exactly = {
            "min_length_factor": 0.0,
            "min_length_offset": length + 1,
            "max_length_factor": 0.0,
            "max_length_offset": length + 1,
        }
        options = change_search(translator.options, exactly)
        (found,) = translator.translate([line], options=options, split="never")
        assert found.too_short == flagged
    (short,) = translator.translate(["a cat"])
    assert not short.too_short


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["a", b"b"], {}, "lines: number 2 is b'b'; give strings."),
        ([None], {}, "lines: number 1 is None; give strings."),
        (["a"], {"split": "no"}, 'split: "no" is unknown; choose "auto", "never" or "always".'),
    ],
)
def test_what_are_no_lines_and_no_way_to_split_is_refused(translator, lines, options, message):
    with pytest.raises(UsageError) as error:
        list(translator.translate(lines, **options))
    assert str(error.value) == message


def test_a_line_without_a_translation_gives_its_prefix(translator):
    found = translator.translate(["", "\u200b"], prefixes=["un ", "gatto"])
    assert [each.text for each in found] == ["un ", "gatto"]


def test_prefixes_and_lines_are_as_many(translator):
    with pytest.raises(
        DataError,
        match="prefix: line 2 has none; give one per line, blank where a translation may begin as "
        r"it likes\.$",
    ):
        list(translator.translate(["a cat", "a dog"], prefixes=["un"]))
    with pytest.raises(
        DataError, match=r"prefix: there are more of them than lines, 1; give one per line\.$"
    ):
        list(translator.translate(["a cat"], prefixes=["un", ""]))


def test_a_prefix_that_cannot_be_written_is_refused(make_model_folder, translator):
    words = Translator.load(make_model_folder(kind="word"))
    with pytest.raises(
        DataError,
        match="prefix 2: `un cavallo` cannot be written, the model has no piece for `cavallo`; "
        r"leave that out, or train with tokenizer\.byte_fallback = true\.$",
    ):
        list(words.translate(["a cat", "a dog"], prefixes=["un gatto", "un cavallo"]))
    with pytest.raises(
        UsageError,
        match="prefix: a shortlist may lack its pieces; set it to 0 for prefixes",
    ):
        translator.translate(["a"], prefixes=["un"], search={"shortlist": 5})
    with pytest.raises(
        UsageError,
        match="no translation may begin with `un cane e`: other search options, such as ban, "
        r"forbid it; change them, or the prefix\.$",
    ):
        list(translator.translate(["a"], prefixes=["un cane e"], search={"ban": ("cane",)}))


def test_scores_of_words_add_up(translator):
    for search in ({"beam": 3}, {"sample": True}):
        for found in translator.translate(some_lines(10), search=search, score_words=True):
            words = found.hypotheses[0].word_scores
            assert [word.text for word in words] == found.text.split()
            rest = found.log_prob - sum(word.log_prob for word in words)
            assert rest < 1e-9 if found.finished else abs(rest) < 1e-6
            (pair,) = translator.score([(found.source, found.text)], score_words=True)
            assert [word.text for word in pair.word_scores] == found.text.split()
            total = sum(word.log_prob for word in pair.word_scores)
            assert total + pair.log_probs[-1] == pytest.approx(pair.log_prob)
    assert next(translator.translate(["a cat"])).hypotheses[0].word_scores is None


def test_words_of_a_script_without_spaces_are_pieces(translator):
    (pair,) = translator.score([("a cat", "猫犬")], score_words=True, align=True)
    assert [word.text for word in pair.word_scores] == ["猫", "犬"]
    assert {target for _, target in pair.alignment} == {0, 1}
    assert [link.target for link in pair.piece_alignment] == [(0, 1), (1, 2)]


def test_given_pairs_are_aligned_as_translations_are(translator):
    lines = [f" {line}\t" for line in some_lines(10)]
    for found in translator.translate(lines, align=True, search={"beam": 1}):
        best = found.hypotheses[0]
        for link in best.piece_alignment:
            assert found.source[slice(*link.source)].strip()
            assert found.text[slice(*link.target)].strip()
        (pair,) = translator.score([(found.source, found.text)], align=True)
        assert len(pair.alignment) == len(found.text.split())
        ids = translator.target.encode(found.text.strip())
        if (
            best.finished
            and translator.target.decode(ids) == found.text.strip()
            and len(pair.piece_alignment) == len(best.piece_alignment)
        ):
            assert [link.target for link in pair.piece_alignment] == [
                link.target for link in best.piece_alignment
            ]
    (blank,) = translator.score([("", "")], align=True, score_words=True)
    assert (blank.alignment, blank.piece_alignment, blank.word_scores) == ((), (), ())


@pytest.mark.parametrize("pairs", [["ab", "cd"], [("a", "b", "c")], [("a",)], [("a", None)]])
def test_what_is_no_pair_is_not_scored(translator, pairs):
    with pytest.raises(
        UsageError,
        match=r"pairs: number 1 is .*; give pairs of lines, such as zip\(sources, targets, "
        r"strict=True\)\.$",
    ):
        list(translator.score(pairs))
