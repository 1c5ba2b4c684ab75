package runtime_test

import (
	"context"
	"fmt"
	"log"

	oreo "github.com/oreo-go/oreo/runtime"
)

// A program that opens a policy and a critic, streams an answer, searches for a
// better one and looks at the values along it.
func Example() {
	ctx := context.Background()
	policy, err := oreo.OpenPolicy("out/policy", oreo.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer policy.Close()
	critic, err := oreo.OpenValue("out/critic", oreo.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer critic.Close()

	prompt := oreo.Text("Ann has 3 apples and buys 14 more. How many apples does she have?\n")
	for token, err := range policy.Generate(ctx, prompt, oreo.GenerateConfig{MaxNewTokens: 64}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}

	found, err := oreo.Search(ctx, policy, critic, prompt, oreo.SearchConfig{Width: 3})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s (value %.2f)\n", found.Best().Text, found.Best().Value)

	scores, err := critic.Score(ctx, prompt, found.Best().Text)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(scores.Values)
}
