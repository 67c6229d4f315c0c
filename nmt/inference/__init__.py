"""Between text and search: what `nmt.translator.Translator` does with lines that it was given."""
