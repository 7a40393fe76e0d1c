from training.data.credits import credits


def test_sources_are_credited_with_their_licence() -> None:
    (source,) = credits(["poilus_fr"])["data"]
    assert source["licence"] == "CC-BY-4.0"
    assert "Archives nationales" in source["authors"]


def test_synthetic_pages_bring_the_credits_of_fonts_and_texts() -> None:
    content = credits(["synth_hand", "my_letters"])
    assert content["data"] == [{"source": "my_letters"}, {"source": "synth_hand"}]
    assert any(font.endswith("(OFL-1.1)") for font in content["fonts"])
    assert not any("caveat" in font for font in content["fonts"]), "a held-out face was not learnt from"
    assert any("faker" in text for text in content["texts"])
