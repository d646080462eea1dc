// Searches as a program with opensearch-go does, and prints the ids that were found.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/opensearch-project/opensearch-go/v4"
	"github.com/opensearch-project/opensearch-go/v4/opensearchapi"
)

func main() {
	config := opensearchapi.Config{Client: opensearch.Config{
		Addresses: []string{os.Args[1]}, DiscoverNodesOnStart: true, CompressRequestBody: true,
	}}
	client, err := opensearchapi.NewClient(config)
	if err != nil {
		panic(err)
	}
	for range 3 {
		search := opensearchapi.SearchReq{Indices: []string{os.Args[2]}, Body: strings.NewReader(os.Args[3])}
		answer, err := client.Search(context.Background(), &search)
		if err != nil {
			panic(err)
		}
		for _, hit := range answer.Hits.Hits {
			fmt.Print(hit.ID, " ")
		}
		fmt.Println(answer.Inspect().Response.Header.Get("X-Rerank-Status"))
	}
}
