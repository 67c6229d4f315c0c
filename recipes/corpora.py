"""The corpora of the recipes: which files, where they come from, and what they must be."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from archives import iwslt14_talks, parallel_texts, sgm_texts


@dataclass(frozen=True)
class Origin:
    """A file to download, and how to extract the texts of the corpus from it."""

    url: str
    read: Callable[[bytes], list[bytes]]
    names: tuple[str, ...]
    """File names in the recipe, one for each text returned by `read`."""
    checksum: str = ""
    """What the download must have, such as "sha256:0224...", where that is published and the sha256
    of the texts is not."""


@dataclass(frozen=True)
class Corpus:
    """The files of a recipe and where they come from."""

    folder: str
    """Folder below $NMT_DATA."""
    sums: Mapping[str, str | None]
    """sha256 of each text file; None if its download is checked instead."""
    origins: tuple[Origin, ...] = ()
    """Empty if the files cannot be made from public data; `note` explains why."""
    note: str = ""
    joined: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Files that are others one after the other: of several origins, which are then deleted."""


# Readers: convert the bytes of a download to the bytes of text files


def as_it_is(content: bytes) -> list[bytes]:
    """Return the text itself."""
    return [content]


def gunzipped(content: bytes) -> list[bytes]:
    """Return the text in a gzip file."""
    return [gzip.decompress(content)]


def words_and_sounds(content: bytes) -> list[bytes]:
    """Split lines "word TAB sounds" into space-separated letters, and sounds."""
    rows = [line.split("\t") for line in content.decode("utf-8").split("\n") if line]
    letters = "".join(" ".join(word) + "\n" for word, _ in rows)
    sounds = "".join(sound + "\n" for _, sound in rows)
    return [letters.encode("utf-8"), sounds.encode("utf-8")]


# The corpora


_MULTI30K = {
    "train.en": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    "train.de": "67aa53ff412b6af1f47c604a623e112e2c28c61519aa7cf8a5348af21722b67a",
    "train.fr": "b47e97734763b5252a979d767955c270f2c93e9e79f8ef063f71088a26e3c5a9",
    "train.cs": "2be68b38c8d586ff4f54eb13cc6e1baaaa053695b3f070d3038303a47f2268da",
    "dev.en": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    "dev.de": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    "dev.fr": "05f2ed05aa5bf06567b3d7ad3121f6346ebd909265383dc79dbe08ef707b7bc2",
    "dev.cs": "d53827e469b0a1ca8d57e9e26b2b64c4bc4b33f5479c7b03ae87ae5c882c3e33",
    "test.en": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
    "test.de": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
    "test.fr": "57a705a12ffb81f3da3539798bdaaaa8f2df5824de3a84e0f4ea378dab959b62",
    "test.cs": "45adb85f688de8407fddcbe1b36dca15d12aab868149b337e2576f2d6d2ff8d8",
}


def _multi30k(*languages: str) -> Corpus:
    """Return the corpus of two of the languages en, de, fr and cs."""
    commit = "a3d2e0d26b56f3846f66a952536ffed4e401d05a"
    base = f"https://raw.githubusercontent.com/multi30k/dataset/{commit}/data/task1/raw"
    parts = {"train": "train", "dev": "val", "test": "test_2016_flickr"}
    files = [(part, language) for part in parts for language in languages]
    return Corpus(
        "multi30k",
        {f"{part}.{language}": _MULTI30K[f"{part}.{language}"] for part, language in files},
        tuple(
            Origin(f"{base}/{parts[part]}.{language}.gz", gunzipped, (f"{part}.{language}",))
            for part, language in files
        ),
    )


def _g2p(folder: str, remote: str, sums: dict[str, str]) -> Corpus:
    """Return a language of SIGMORPHON 2021, task 1; `remote` is its files without "_train.tsv"."""
    commit = "821bcdece5a47820872215969f275004b0abe80c"
    base = f"https://raw.githubusercontent.com/sigmorphon/2021-task1/{commit}/data"
    return Corpus(
        folder,
        sums,
        tuple(
            Origin(
                f"{base}/{remote}_{part}.tsv", words_and_sounds, (f"{part}.graph", f"{part}.ipa")
            )
            for part in ("train", "dev", "test")
        ),
    )


def _loresmt_irish() -> Corpus:
    """Return English and Irish of LoResMT 2021; its test set was translated from English."""
    commit = "c22949f578d6f628ef667690d34395a10cf80a37"
    base = f"https://raw.githubusercontent.com/loresmt/loresmt-2021/{commit}/data/en_ga"
    return Corpus(
        "loresmt21-en-ga",
        {
            "train.en": "e498c6c6ae4941164b3ced0dd604badac53459308c233e04a34853cf31651504",
            "train.ga": "1d41e319cb574ffa740ca7c5797623a9adac95be81c1f9f1e4dcbc4a6ef5e15d",
            "dev.en": "1fc142507b0bf390a874e91a88dc215958d29f527720aa22e50878154483094a",
            "dev.ga": "843a8f78d9cdb555a1d5fd229fb85c55e683113d32bae6beb466e4263d19c583",
            "test.en": "9bd502ad4dbe8d1a79a42eab46ebf041d51c603a613c11553cd855763e3dce83",
            "test.ga": "8bb1e299c5938af96332991ac3e8a9f80b282e4a8db915b77746b61a639ed0ee",
        },
        tuple(
            Origin(f"{base}/{remote}.{language}", as_it_is, (f"{part}.{language}",))
            for part, remote in (("train", "train"), ("dev", "dev"), ("test", "test.en2ga"))
            for language in ("en", "ga")
        ),
    )


def _wmt17() -> Corpus:
    """Return English and German of WMT 2017: parallel training texts, newstest2016 and 2017.

    The sums are in the dataset information of TensorFlow Datasets (wmt17_translate) and Hugging
    Face (wmt17); dev.tgz and rapid2016.tgz are later copies, whose sums are published.
    """
    wmt13, wmt = "http://www.statmt.org/wmt13", "http://data.statmt.org"
    training = {
        "europarl-v7": (
            f"{wmt13}/training-parallel-europarl-v7.tgz",
            "training/europarl-v7.de-en",
            "sha256:0224c7c710c8a063dfd893b0cc0830202d61f4c75c17eb8e31836103d27d96e7",
        ),
        "commoncrawl": (
            f"{wmt13}/training-parallel-commoncrawl.tgz",
            "commoncrawl.de-en",
            "sha256:c7a74e2ea01ac6c920123108627e35278d4ccb5701e15428ffa34de86fa3a9e5",
        ),
        "news-commentary-v12": (
            f"{wmt}/wmt17/translation-task/training-parallel-nc-v12.tgz",
            "training/news-commentary-v12.de-en",
            "sha256:2b45f30ef1d550d302fd17dd3a5cbe19134ccc4c2cf50c2dae534aee600101a2",
        ),
        "rapid2016": (
            f"{wmt}/wmt18/translation-task/rapid2016.tgz",
            "rapid2016.de-en",
            "sha256:41557dd5d8f0ed3a6d98bce3b798b1a9d3b68361eb99d902329ddbb943a6b55a",
        ),
    }
    tests = [
        (f"dev/newstest{year}-ende-src.en.sgm", f"dev/newstest{year}-ende-ref.de.sgm")
        for year in (2016, 2017)
    ]
    tested = Origin(
        f"{wmt}/wmt19/translation-task/dev.tgz",
        sgm_texts(*tests),
        ("dev.en", "dev.de", "test.en", "test.de"),
        "sha256:7a7deccf82ebb05ba508dba5eb21356492224e8f630ec4f992132b029b4b25e7",
    )
    trained = [
        Origin(
            url,
            parallel_texts(f"{file}.en", f"{file}.de"),
            (f"{name}.en", f"{name}.de"),
            checksum,
        )
        for name, (url, file, checksum) in training.items()
    ]
    names = [f"{part}.{language}" for part in ("train", "dev", "test") for language in ("en", "de")]
    return Corpus(
        "wmt17-en-de",
        dict.fromkeys(names),
        (tested, *trained),
        joined={
            f"train.{language}": tuple(f"{name}.{language}" for name in training)
            for language in ("en", "de")
        },
    )


_IWSLT14 = ("train.de", "train.en", "dev.de", "dev.en", "test.de", "test.en")

EMBEDDED = ("toy", "toy-lm")
"""Recipes whose corpus is part of the project, in data/."""

CORPORA = {
    "multi30k-en-de": _multi30k("en", "de"),
    "multi30k-en-fr": _multi30k("en", "fr"),
    "multi30k-en-cs": _multi30k("en", "cs"),
    "multi30k-de-en": _multi30k("de", "en"),
    "tatoeba-en-de": Corpus(
        "tatoeba-en-de",
        {
            "train.en": "20cc9c6f7abaa92f4dd209131eb8347eaea9caf0d39c362e8d0481ccae2cfa9c",
            "train.de": "a3a31239855c54d1cef30e594305c387a563e2b92444880597ffd10beb97a30a",
            "dev.en": "bb47f20f5930bd1b8f47d3459fb7ec24fa7c31e8817317b368cfcde5147be15c",
            "dev.de": "743390313188d0a64d1be2866e42f80c437e852533d02882885f68880a2942a6",
            "test.en": "b39e4887224c9c8c47a8fbd11c39a3b66dcf8dbbae807e60c4975d2c181a352b",
            "test.de": "d240fd3e219864cfb834c2f0e52c4f897027c2df2ebf183d32953b1e3f4103c2",
        },
        note="The pairs are those of deu-eng.zip (ManyThings.org / Tatoeba, 2018-05-13, CC BY 2.0)"
        "\nin github.com/rioyshky/translation at de48b7027f7318d77010a6e08ed928c10748c23d, but"
        "\nthe split into train, dev and test is not published with them.",
    ),
    "dates": Corpus(
        "dates-en-iso",
        {
            "train.human": "ee37a39bd9334fe51a520674bc16cb3a0bff7ee8cb5318f3960ee77bb7f7594a",
            "train.iso": "e66efa6b297004d2b111f9ead1b2380ec93d8ace08beeb698fbdb898f4cc1057",
            "dev.human": "c4aa924876962faef0720e3998451326298e67869633599cb3f4152716e619a4",
            "dev.iso": "63bad1b67a6d8a091c0ffb0e4f59614c848bd03c89006d61fcefac6a7b76e31d",
            "test.human": "5c7228ccf6a12b70a0b32529abad593783559fa79e0ce4350852f03dded2f787",
            "test.iso": "eb4a7b193a12828367de660b0dd399b12e75786d8c99a1170a07f2f84df7f90b",
        },
        note="The pairs are those of dataset/date.txt (MIT licence) in\n"
        "github.com/oreilly-japan/deep-learning-from-scratch-2 at\n"
        "842ae31c2bb070f5116275606ed90396626a2c17, but the split into train, dev and test (by\n"
        "calendar day, so that no day of dev or test is in train) is not published with them.",
    ),
    "loresmt21-en-ga": _loresmt_irish(),
    "loresmt21-ga-en": _loresmt_irish(),
    "iwslt14-de-en": Corpus(
        "iwslt14-de-en",
        dict.fromkeys(_IWSLT14),
        (
            # Of this copy of wit3.fbk.eu/archive/2014-01/texts/de/en/de-en.tgz, which is gone, only
            # the MD5 is published.
            Origin(
                "https://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz",
                iwslt14_talks("de", "en"),
                _IWSLT14,
                "md5:10936dfdf616504ddbd844e91b94ef4a",
            ),
        ),
    ),
    "iwslt15-en-vi": Corpus(
        "iwslt15-en-vi",
        {
            "train.en": "c26dfeed74b6bf3752f5ca552f2412456f0de153f7c804df8717931fb3a5c78a",
            "train.vi": "707206edf2dc0280273952c7b70544ea8a1363aa69aaeb9d70514b888dc3067d",
            "dev.en": "b8fbcd0d4199d41276421d1f7228298df67dd9e2c5c134c2ee8cdf3ec27801e2",
            "dev.vi": "01004078b3f36b0c46e81b65fc6851230b3c823405c76d1d82ef3b786b512ff0",
            "test.en": "3860ce60bc5b85d96cc2d3d580cf1bc9d62440e939c1b964676d3607c4e8f1df",
            "test.vi": "29af16842808da2812b8fd4d47fc05d082ba870e60ab7755090ad04b380994cd",
        },
        tuple(
            Origin(
                f"https://nlp.stanford.edu/projects/nmt/data/iwslt15.en-vi/{remote}.{language}",
                as_it_is,
                (f"{part}.{language}",),
            )
            for part, remote in (("train", "train"), ("dev", "tst2012"), ("test", "tst2013"))
            for language in ("en", "vi")
        ),
    ),
    "wmt17-en-de": _wmt17(),
    "g2p-eng": _g2p(
        "g2p21-eng",
        "high/eng_us",
        {
            "train.graph": "26410e4276c34052c415302ef8c557eed20b6118b22d7bcea8949eb6a1ee9255",
            "train.ipa": "f44a0bd190610fee215a4c9dca9076dff1a6df5b7e6cd6c8b64591648a9f57f1",
            "dev.graph": "dc4fd1a20b1dd385f0247612dc1a5ba687558e4802a56cb380362d0fb8f1811e",
            "dev.ipa": "40e9d87e680f9639ea48896bb8c1961010fdee1782ac7335f55f33ff8ecbed63",
            "test.graph": "2bc1aa9fd4c04b7e8136dc779b678f5b790e85cd5529db16502ce6b6c00c5515",
            "test.ipa": "a2bbd2540a7b2b4079f19774171d963f79d77d55e171145ab588b1786cb28466",
        },
    ),
    "g2p-fra": _g2p(
        "g2p21-fra",
        "medium/fre",
        {
            "train.graph": "5dda1437849e7f8db4398229c20ef98eff7fb95d221db682aba9c9b863b9f3ad",
            "train.ipa": "aed6b157764d093066503178fe075d321c91a83f847aaf1843030f7e4dcce3a0",
            "dev.graph": "ac56afa3478e5d13a7bb683fd91679755427320eae1b61c3bc816af2bd918a94",
            "dev.ipa": "956a3639f496eb56ef56a76e791768409ab3324dcfc637b57d9922e563fd83c7",
            "test.graph": "3b24b38effcf93d411583819753d3a3db5b260a4b0345090a8f1fb44c4d03499",
            "test.ipa": "41773ee3e530c3dd687890225663d382bf9db187b8414185f0e6b9c35c4b2a9e",
        },
    ),
}
