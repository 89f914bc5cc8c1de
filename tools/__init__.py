"""For maintainers and teachers: build and run notebooks, make editions and the offline kit."""
