"""Lines of numbers become vectors, and numbers become text."""

import numpy as np
import pytest

from nmt.text.vectors import read_vectors, write_numbers


def test_positions_stand_between_spaces_and_features_between_commas():
    found = read_vectors("0.53,1  0.2,-3e-2", 2)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([[0.53, 1], [0.2, -0.03]], np.float32))


def test_a_single_number_is_a_position_of_one_feature():
    assert read_vectors("7", 1).tolist() == [[7.0]]


@pytest.mark.parametrize("token", ["x", "", "0.5x", "nan", "inf", "1e99", "1_000", "½"])
def test_what_is_no_number_is_named(token):
    with pytest.raises(ValueError, match=r'^"[^"]*" is not a finite number; write numbers such'):
        read_vectors(f"1,2 {token},3", 2)


def test_a_position_with_other_numbers_than_there_are_features_is_named():
    with pytest.raises(ValueError, match=r'^position 2, "3,4,5", has 3 numbers, not 2$'):
        read_vectors("1,2 3,4,5", 2)


def test_numbers_are_written_so_that_they_can_be_read():
    values = [0.53, -1.0, 1e-7, 123456.0]
    assert write_numbers(values) == "0.53,-1,1e-07,123456"
    assert read_vectors(write_numbers(values), 4).tolist() == [np.float32(values).tolist()]
