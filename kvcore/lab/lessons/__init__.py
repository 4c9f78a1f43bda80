"""The checks of the lessons: one module a lesson, `l02` for lesson 02, imported when needed."""
