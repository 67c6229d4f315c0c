import os
import struct

import numpy as np
import pytest

from nmt.data.corpus import INDEX, Corpus, EncodedPair, write_corpus
from nmt.errors import DataError, ResourceError
from nmt.storage.tensors import load_arrays, load_metadata, save_arrays
from nmt.text.vocabulary import EOS

PAIRS = [
    EncodedPair([5, 6, 7], [8], "der große Hund", "dog"),
    EncodedPair([9], [10, 11], "ja\u2028nein\r", "  yes  "),
    EncodedPair([], [12], "", "日本 😀"),
]


def write(folder, pairs=PAIRS, vocab_size=100) -> Corpus:
    count = write_corpus(folder, "train", pairs, vocab_size=vocab_size, fingerprints=("aa", "bb"))
    assert count == len(pairs)
    return Corpus(folder, "train")


@pytest.mark.parametrize("vocab_size", [100, 70_000])
def test_a_corpus_is_read_back_as_written(vocab_size, tmp_path):
    shift = 0 if vocab_size == 100 else 65_530
    pairs = [
        EncodedPair([i + shift for i in p.source], p.target, p.source_text, p.target_text)
        for p in PAIRS
    ]
    corpus = write(tmp_path, pairs, vocab_size)

    assert len(corpus) == 3
    assert corpus.fingerprints == ("aa", "bb")
    assert corpus.source_lengths.tolist() == [4, 2, 1]
    assert corpus.target_lengths.tolist() == [2, 3, 2]
    for index in (2, 0, 1):
        source, target = corpus.pair(index)
        assert source.tolist() == [*pairs[index].source, EOS]
        assert target.tolist() == [*pairs[index].target, EOS]
        assert source.dtype == target.dtype == np.int64
        assert corpus.texts(index) == (pairs[index].source_text, pairs[index].target_text)


def test_the_files_have_the_documented_format(tmp_path):
    corpus = write(tmp_path)
    index = tmp_path / "train" / INDEX
    assert load_metadata(index) == {
        "pairs": 3,
        "source_tokens": 7,
        "target_tokens": 7,
        "id_type": "<u2",
        "subword": ["aa", "bb"],
    }
    ids = [5, 6, 7, EOS, 8, EOS, 9, EOS, 10, 11, EOS, EOS, 12, EOS]
    texts = "".join(f"{pair.source_text}\n{pair.target_text}\n" for pair in PAIRS).encode()
    assert (tmp_path / "train" / "ids.bin").read_bytes() == struct.pack("<14H", *ids)
    assert (tmp_path / "train" / "texts.txt").read_bytes() == texts
    assert load_arrays(index)["text_bytes"].tolist() == [20, 19, 13]
    assert corpus.source_lengths.dtype == corpus.target_lengths.dtype == np.int32


@pytest.mark.parametrize(("vocab_size", "id_type"), [(65_536, "<u2"), (65_537, "<u4")])
def test_ids_take_four_bytes_where_two_do_not_suffice(vocab_size, id_type, tmp_path):
    pair = EncodedPair([vocab_size - 1], [4], "a", "b")
    corpus = write(tmp_path, [pair], vocab_size)
    assert corpus.pair(0)[0].tolist() == [vocab_size - 1, EOS]
    assert load_metadata(tmp_path / "train" / INDEX)["id_type"] == id_type


def test_a_folder_that_may_not_be_written_is_named(no_rights):
    (no_rights / "shut").mkdir()
    (no_rights / "shut").chmod(0o555)
    with pytest.raises(ResourceError, match=r"cannot write .*/shut/train, .*; permission denied"):
        write(no_rights / "shut")


def test_a_corpus_may_be_empty(tmp_path):
    assert len(write(tmp_path, [])) == 0


@pytest.mark.parametrize("index", [-1, 3])
def test_a_pair_out_of_range_is_an_index_error(index, tmp_path):
    with pytest.raises(IndexError, match=f"no pair {index} among 3"):
        write(tmp_path).pair(index)


def test_equal_pairs_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    for file in (tmp_path / "a" / "train").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / "train" / file.name).read_bytes()


@pytest.mark.parametrize("name", ["ids.bin", "texts.txt"])
def test_a_file_of_the_wrong_size_is_refused_when_opening(name, tmp_path):
    write(tmp_path)
    path = tmp_path / "train" / name
    size = path.stat().st_size
    os.truncate(path, size - 1)
    with pytest.raises(DataError) as caught:
        Corpus(tmp_path, "train")
    assert str(caught.value) == (
        f"{path}: is damaged, it has {size - 1} bytes instead of {size}; "
        f"delete {tmp_path} and run `nmt prepare` again."
    )


@pytest.mark.parametrize("name", ["ids.bin", "texts.txt", INDEX])
def test_a_missing_file_is_named(name, tmp_path):
    write(tmp_path)
    (tmp_path / "train" / name).unlink()
    with pytest.raises(
        DataError, match=rf"{name}: (is missing|cannot be read \(No such)"
    ) as caught:
        Corpus(tmp_path, "train")
    assert str(caught.value).endswith(f"delete {tmp_path} and run `nmt prepare` again.")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff" * 100])
def test_a_damaged_index_is_named(content, tmp_path):
    write(tmp_path)
    (tmp_path / "train" / INDEX).write_bytes(content)
    with pytest.raises(DataError, match=rf"{INDEX}: is not .* Or delete .* `nmt prepare` again"):
        Corpus(tmp_path, "train")


def test_an_inconsistent_index_is_refused(tmp_path):
    write(tmp_path)
    index = tmp_path / "train" / INDEX
    metadata, arrays = load_metadata(index), load_arrays(index)
    save_arrays(index, {"source_lengths": arrays["source_lengths"]}, metadata)
    with pytest.raises(DataError, match=rf"{INDEX}: is damaged, 'target_lengths'; delete "):
        Corpus(tmp_path, "train")
    save_arrays(index, arrays, {**metadata, "id_type": "nonsense"})
    with pytest.raises(DataError, match=rf"{INDEX}: is damaged, data type "):
        Corpus(tmp_path, "train")
    save_arrays(index, {**arrays, "source_lengths": arrays["source_lengths"] + 1}, metadata)
    with pytest.raises(DataError, match=r"ids\.bin: is damaged, it has 28 bytes instead of 34"):
        Corpus(tmp_path, "train")


def test_files_cut_off_while_in_use_are_an_error_not_a_crash(tmp_path):
    corpus = write(tmp_path)
    os.truncate(tmp_path / "train" / "ids.bin", 3)
    os.truncate(tmp_path / "train" / "texts.txt", 3)
    with pytest.raises(DataError, match=r"ids\.bin: is damaged, it was truncated while in use"):
        corpus.pair(1)
    with pytest.raises(DataError, match=r"texts\.txt: is damaged, it was truncated while in use"):
        corpus.texts(1)


@pytest.mark.parametrize(
    ("was", "becomes"), [(b"\n", b" "), (b"dog\n", b"do\ng")], ids=["one line", "ends too early"]
)
def test_texts_that_are_not_two_lines_are_an_error(was, becomes, tmp_path):
    corpus = write(tmp_path)
    path = tmp_path / "train" / "texts.txt"
    path.write_bytes(path.read_bytes().replace(was, becomes))
    with pytest.raises(DataError, match=r"texts\.txt: is damaged, bytes 0 to 20 are not two lines"):
        corpus.texts(0)


@pytest.mark.parametrize("name", ["ids.bin", "texts.txt"])
def test_a_file_that_cannot_be_read_is_named(name, tmp_path):
    write(tmp_path)
    path = tmp_path / "train" / name
    path.unlink()
    path.symlink_to(name)
    with pytest.raises(DataError) as caught:
        Corpus(tmp_path, "train")
    assert str(caught.value) == (
        f"{path}: cannot be read (Too many levels of symbolic links); "
        f"delete {tmp_path} and run `nmt prepare` again."
    )


def test_closing_twice_does_no_harm(tmp_path):
    corpus = write(tmp_path)
    corpus.close()
    corpus.close()
    for read in (corpus.pair, corpus.texts):
        with pytest.raises(OSError, match="Bad file descriptor"):
            read(0)
