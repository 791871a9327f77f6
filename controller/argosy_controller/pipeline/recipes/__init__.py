"""What a recipe says and what it may say: reading, reference, suggestions. Nothing here imports torch before it looks at a model."""

#: What a recipe is called in the folder of its task.
RECIPE_FILE = "recipe.toml"
