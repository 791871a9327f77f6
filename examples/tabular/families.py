"""Six families of classical models, unfitted, as scikit-learn has them."""

from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

FAMILIES = {
    "svm": lambda: SVC(C=3),
    "decision-tree": lambda: DecisionTreeClassifier(),
    "random-forest": lambda: RandomForestClassifier(100),
    "naive-bayes": lambda: GaussianNB(),
    "logistic-regression": lambda: LogisticRegression(max_iter=1000),
    "mlp": lambda: MLPClassifier((64, 64), max_iter=500),
}
