"""``python -m training.evaluation`` measures the product on annotated pages, see `training.evaluation.product`."""

from training.evaluation.product import main

if __name__ == "__main__":
    main()
