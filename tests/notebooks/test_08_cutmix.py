"""What the built notebook 08 shows is true: labels of mixed images, and what is augmented."""

from lessons import assert_labels_name_their_classes, augmented_parts, mixed_labels


def test_a_mixed_image_names_its_classes_and_their_weights_add_up_to_one():
    figures = mixed_labels("08")
    assert len(figures) == 3
    mixed = [label for labels in figures for label in labels if len(label) == 2]
    assert len(mixed) >= 6
    assert_labels_name_their_classes(figures)


def test_only_training_images_are_augmented():
    assert augmented_parts("08") == ["'train'"]
