"""Skip-gram with negative sampling: its gradients, and what it learns."""

import random

import torch

from nmt.laboratory.skip_gram import SkipGram, SkipGramOptions, nearest, train_vectors


def test_gradients_of_skip_gram_are_those_of_the_paper():
    """d/dv = (s(u.v) - 1) u + sum s(n.v) n; d/du = (s(u.v) - 1) v; d/dn = s(n.v) v."""
    model = SkipGram(6, 3).double()
    torch.nn.init.normal_(model.centre)
    torch.nn.init.normal_(model.around)
    centre, around, noise = torch.tensor([2]), torch.tensor([1]), torch.tensor([[4, 5]])

    model(centre, around, noise).sum().backward()

    v, u = model.centre.detach()[2], model.around.detach()
    pull = torch.sigmoid(u[1] @ v) - 1
    push = torch.sigmoid(u[[4, 5]] @ v)
    exact = {"rtol": 0, "atol": 1e-15}
    torch.testing.assert_close(model.centre.grad[2], pull * u[1] + push @ u[[4, 5]], **exact)
    torch.testing.assert_close(model.around.grad[1], pull * v, **exact)
    torch.testing.assert_close(model.around.grad[[4, 5]], torch.outer(push, v), **exact)
    assert model.centre.grad[[0, 1, 3, 4, 5]].count_nonzero() == 0


def test_gradients_of_skip_gram_equal_differences():
    model = SkipGram(6, 3).double()
    ids = torch.randint(6, (4,)), torch.randint(6, (4,)), torch.randint(6, (4, 3))

    def loss(centre, around):
        return torch.func.functional_call(model, {"centre": centre, "around": around}, ids)

    tables = [torch.randn(6, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(loss, tables)


def test_words_in_the_same_contexts_get_similar_vectors():
    chance = random.Random(1)
    animals, days = ["cat", "dog", "fox"], ["monday", "friday", "sunday"]
    sentences = [
        ["the", chance.choice(animals), "eats"]
        if chance.random() < 0.5
        else ["on", chance.choice(days), "we", "rest"]
        for _ in range(400)
    ]

    words, vectors = train_vectors(
        sentences,
        SkipGramOptions(size=8, window=2, epochs=5, batch=64, learning_rate=0.03, frequent=0),
    )

    assert set(nearest(words, vectors, "cat", 2)) == {"dog", "fox"}
    assert set(nearest(words, vectors, "sunday", 2)) == {"monday", "friday"}
