"""Words that subword models are trained on."""

WORDS = [
    "der",
    "die",
    "das",
    "ein",
    "kleine",
    "große",
    "Hund",
    "Katze",
    "Männer",
    "schläft",
    "läuft",
    "über",
    "Straße",
    "und",
    "nicht",
]
